/* SPDX-License-Identifier: MIT */
/*
 * leader.pml - several servers over one etcd as a model for spin: who leads,
 * what it may answer, and what a successor counts. tests/model.sh runs it;
 * BUG_x is given to spin with -D. lease.pml has one server and all of the
 * client; here the client is what is left of it: it works from an answer 200
 * until S ticks after that attempt began.
 *
 * One client is modelled. All others are one word in etcd: whenever the lock
 * is free there, the leader may grant it to one of them. Two servers are
 * enough: more of them are the one that leads and those that have led. A server
 * that is paused or cut off is one that takes no step for a while, as long as
 * it likes, while time goes on; what it knows grows old, and it goes on from
 * there. A server that is killed forgets all.
 *
 *   here                    there
 *   create, load            modules/server/store_etcd.c: try_to_lead, and
 *                           http_lead.c: take_lead: the key first, then rows
 *   left = S + TTL          http_pass.c: server_load, extra_s
 *   guard                   store_etcd.c: guarded, by the key's revision
 *   prove                   store_etcd.c: commit, empty for a pass of
 *                           refreshes. There each pass makes a proof of its
 *                           own; here one lasts TTL from before it was sent,
 *                           which is the most that the rules allow: what holds
 *                           for that holds for less
 *   ambiguous               http_pass.c: commit_failed, store_step_down
 *   low                     justalock-protocol(7): Justalock-Epoch, a lower
 *                           one is as 503
 */
#define S   3 /* the lock's lease */
#define TTL 2 /* the leader's, in etcd */
#ifdef BUG_no_extra
#define EXTRA 0
#else
#define EXTRA TTL
#endif

#define NOBODY 0 /* who has the lock */
#define US     1
#define OTHERS 2

#define OK   1 /* answers */
#define BUSY 2

/* ---- etcd ---- */

byte key;    /* 0, or the server that leads, and 1 */
byte stored; /* NOBODY, US, OTHERS */

/* ---- servers ---- */

typedef server_state {
    bool leads;       /* it believes so */
    bool created;     /* its key, but nothing is loaded */
    byte who;         /* in memory */
    byte left;        /* of our lease */
    byte proof;       /* how long it lasts still */
    bool on_its_way   /* BUG_proof_from_answer: etcd has made one */
};
server_state server[2];
byte newest; /* of the two, whose key was made last */

/* ---- our client ---- */

bool work;
byte held;       /* ticks since the t0 that it counts from */
bool asks;       /* an attempt is under way */
byte to, since;  /* at whom, and ticks since its t0 */
bool net[2];     /* requests that may come, once or more often */
byte answer;
bool answer_low, answer_top; /* its epoch is below, above all that we saw */
bool low[2];     /* so would be an answer of that server now */

byte i;

/* What must hold, always. */
#define check() assert(!(work && stored == OTHERS))

/* The key is there and ours: a transaction is done. */
#ifdef BUG_unguarded
#define guard(n) (server[n].leads)
#else
#define guard(n) (key == (n) + 1 && server[n].leads)
#endif

inline resign(n)
{
    server[n].leads = 0;
    server[n].created = 0;
    server[n].who = NOBODY;
    server[n].left = 0;
    server[n].proof = 0;
    server[n].on_its_way = 0;
    low[n] = 0; /* its next epoch is the highest */
    newest = (server[1 - (n)].leads || server[1 - (n)].created -> 1 - (n) : 0)
}

inline create(n)
{
    key = n + 1;
    newest = n;
    if
    :: to != n -> answer_top = 0
    :: else
    fi
}

inline reply(n, what)
{
    if
    :: asks && to == n && !answer ->
        answer = what;
        answer_low = low[n];
        answer_top = newest == n
    :: else
    fi
}

#ifdef BUG_answer_from_memory
#define is_proven(n) true
#else
#define is_proven(n) (server[n].proof > 0)
#endif

inline serve(n)
{
    if
    :: !server[n].leads /* 503 */
    :: server[n].leads && server[n].who == US && is_proven(n) ->
        server[n].left = (server[n].left < S -> S : server[n].left);
        reply(n, OK)
    :: server[n].leads && server[n].who == OTHERS && is_proven(n) ->
        reply(n, BUSY)
    :: server[n].leads && server[n].who == NOBODY && guard(n) ->
        stored = US;
        if
        :: server[n].who = US;
            server[n].left = S;
            reply(n, OK)
        :: resign(n) /* and no answer: it cannot know */
        fi
    :: server[n].leads && server[n].who == NOBODY && !guard(n) -> resign(n)
    :: else /* no proof as yet: it waits for one */
    fi
}

inline serve_others(n)
{
    if
    :: server[n].who == NOBODY && guard(n) ->
        stored = OTHERS;
        server[n].who = OTHERS
    :: server[n].who == OTHERS && guard(n) -> /* given back, or lapsed */
        stored = NOBODY;
        server[n].who = NOBODY
    :: server[n].who == US && server[n].left == 0 && guard(n) ->
        stored = NOBODY;
        server[n].who = NOBODY
    :: else
    fi
}

active proctype servers()
{
end:
    do
    :: atomic {
        if
        :: i = 0
        :: i = 1
        fi;
        if
#ifdef BUG_load_first
        :: !server[i].leads && !server[i].created && key == 0 ->
            server[i].created = 1;
            server[i].who = stored;
            server[i].left = (stored == US -> S + EXTRA : 0)
        :: server[i].created && key == 0 ->
            create(i);
            server[i].leads = 1;
            server[i].created = 0
        :: server[i].created && key != 0 -> resign(i)
#else
        :: !server[i].leads && !server[i].created && key == 0 ->
            create(i);
            server[i].created = 1
        :: server[i].created && key == i + 1 ->
            server[i].who = stored;
            server[i].left = (stored == US -> S + EXTRA : 0);
            server[i].leads = 1;
            server[i].created = 0
        :: server[i].created && key != i + 1 -> resign(i)
#endif
        :: key == i + 1 -> key = 0 /* its lease is over, or somebody deletes
            it: at any time, since etcd counts from a keepalive that may be
            long ago */
        :: key == i + 1 -> key = 0; resign(i) /* stopped in order */
        :: resign(i) /* killed; the key is left */
        :: net[i] -> serve(i)
        :: net[i] -> net[i] = 0
        :: server[i].leads -> serve_others(i)
        /* A proof counts from before it was sent. Sent earlier, or heard
         * later, it only lasts for less. */
#ifdef BUG_keepalive_proves /* the lease lives on without its key */
        :: server[i].leads ->
#else
        :: server[i].leads && guard(i) ->
#endif
#ifdef BUG_proof_from_answer
            server[i].on_its_way = 1
        :: server[i].on_its_way ->
            server[i].on_its_way = 0;
#endif
            server[i].proof = TTL
        :: server[i].leads && !guard(i) -> resign(i)
        :: else
        fi;
        i = 0;
        check()
        }
    od
}

inline end_work()
{
    work = 0;
    held = 0
}

inline forget()
{
    asks = 0;
    since = 0;
    answer = 0;
    answer_low = 0;
    answer_top = 0;
    to = 0
}

active proctype client()
{
end:
    do
    :: atomic { !asks && (work || (!net[0] && !net[1])) ->
        asks = 1;
        if
        :: to = 0
        :: to = 1
        fi;
        net[to] = 1
        }
    :: atomic { asks -> forget() } /* it takes too long */
    :: atomic { answer && answer_low ->
#ifdef BUG_lower_epoch
        answer_low = 0
#else
        forget()
#endif
        }
    :: atomic { answer && !answer_low ->
        if
        :: answer_top && server[1 - to].leads -> low[1 - to] = 1
        :: else
        fi;
        if
        :: answer == OK && since < S -> work = 1; held = since
        :: answer == BUSY && work ->
            assert(stored != US); /* it has not lost it */
            end_work()
        :: else
        fi;
        forget();
        check()
        }
    :: atomic { work -> end_work() } /* and gives back, or its host dies */
    od
}

/* ---- time ---- */

#define DOWN(n) n = ((n) > 0 -> (n) - 1 : 0)

inline age_server(n)
{
    DOWN(server[n].left);
    DOWN(server[n].proof)
}

active proctype clock()
{
end:
    do
    :: atomic {
        if
        :: asks && since < S -> since++
        :: else
        fi;
        if
        :: work ->
            held++;
            if
            :: held >= S -> end_work() /* by the watch, whatever else hangs */
            :: else
            fi
        :: else
        fi;
        age_server(0);
        age_server(1);
        check()
        }
    od
}
