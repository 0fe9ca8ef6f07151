/* SPDX-License-Identifier: MIT */
/*
 * lease.pml - the lease protocol as a model for spin: every order of events,
 * where a test sees some. tests/model.sh runs it; BASE (a service that knows
 * POST alone) and BUG_x are given to spin with -D.
 *
 * One client is modelled in full. All others are what the server makes of
 * them, in the most general way: whenever the lock is free and it is not our
 * turn, one of them may have it, for as long as it likes. Since ours is any of
 * them, what holds for it holds for each, however many there are: who works is
 * the one whom the server counts as holder, so that no two work at once.
 *
 * Time passes in whole ticks, and all counters are relative, so that the
 * states are finite though the run is endless. A lease is L ticks at the
 * server, counted from when a request is applied. Where the rules are:
 *
 *   here                    there
 *   VALID, TERM             common/lease.c: valid_ms, term_ms
 *   ELAPSED                 common/clock.c: clock_elapsed_ms, clock_left_ms
 *   send: age = 0           common/keeper_ask.c: attempt, t0 before all of it
 *   take: held = age        common/lease.c: prolong, lease_deadline
 *   hear: AGE < TERM        common/lease.c: answered_asking
 *   fail: due = 0           common/lease.c: failed, retry_ms
 *   can_attempt: < TERM     common/lease.c: schedule; keeper_ask.c: held_due
 *   hear: OFFERED           common/keeper_ask.c: wait_answered
 *   tick: lose              modules/agent/watch_rows.c, by the deadline that
 *                           the guard has set; paused: the keeper alone
 *   us: the keeper dies     common/lease.c: lease_adopt
 *   us: a share is_unused   a random one for each holding: guard_take.c of
 *                           the agent, back.c of the command, lock_thread.c
 *   give_back               common/keeper_give.c: step, step_base
 *   serve_post              modules/server/table.c: lock_take, renew, grant
 *   serve_give, covered     modules/server/table.c: lock_give; table_tomb.c
 *   pass_on, offer_left     modules/server/table_queue.c: queue_pass_on,
 *                           offer_expire
 *   restart                 modules/server/table.c: load_share
 *
 * The network keeps each request for as long as it likes, delivers it as
 * often as it likes, or never; an answer comes late or never. A share is used
 * again only when nothing of it is under way: that stands for the random
 * share and for the s + 60 s of its tombstone.
 */
#define L       6
#ifdef BUG_no_margin
#define VALID   L
#else
#define VALID   4 /* D = t0 + VALID: one tick for drift, one for the margin */
#endif
#define TERM    3
#define REFRESH 1
#define LIMIT   1 /* of one attempt */
#define OFFER   2
#define SHARES  2 /* that our client uses in turn */

#define IDLE   0 /* state */
#define ASKING 1
#define HELD   2
#define GIVING 3

#define NOTHING 0 /* under way */
#define POST    1
#define WAIT    2
#define GIVE    3 /* DELETE; BASE: POST with s=1 */

#define OK      1 /* answers */
#define BUSY    2
#define OFFERED 3

/* ---- our client ---- */

byte state;
byte share;
bool work;      /* some process of it may run */
bool wants;     /* to wait at the service: it has said busy */
bool ambiguous; /* an attempt may have been applied unheard */
bool was_held;  /* GIVING, BASE */
byte age_boot, age_raw;   /* of the attempt, since its t0 */
byte held_boot, held_raw; /* since the t0 that the deadline counts from */
byte due;       /* until the next attempt */
byte flight;    /* what it awaits an answer to */
bool fresh;     /* that was not delivered yet */
byte answer;    /* on its way to it */
byte failed;    /* attempts since the last success; 2 is many */
bool excused;   /* it was paused or died, and may lose the lock for it */
bool paused;    /* keeper; the watch goes on */
bool asleep;    /* the whole host */
bool age_drifted, held_drifted; /* RAW has lost its tick since that t0 */

/* ---- the network ---- */

typedef under_way {
    bool post, wait, give;
};
under_way net[SHARES];

/* ---- the server ---- */

byte left[SHARES]; /* of the share's lease; 0: not held. Of the one that is
                      no longer in use: 1, and it ends at any time */
bool tomb[SHARES];
bool prompt[SHARES]; /* given back in this tick, before its end */
bool others;     /* hold it, or it is offered to one of them */
byte waits;      /* we do; 1: but that connection is gone; 2: yes */
byte offer_left; /* of the offer to us; 0: none is open */

byte i, s, result; /* nothing between two steps */
bool boot_stands, raw_stands;

#ifdef BUG_slewed_clock
#define ELAPSED(boot, raw) (boot)
#else
#define ELAPSED(boot, raw) ((boot) > (raw) -> (boot) : (raw))
#endif
#define AGE     ELAPSED(age_boot, age_raw)
#define HELDFOR ELAPSED(held_boot, held_raw)

#ifdef BUG_no_watch /* who speaks to the server also ends the work */
#define watch_runs  may_run
#else
#define watch_runs  (!asleep)
#endif
#define may_run     (!paused && !asleep)
#define can_attempt (flight == NOTHING && due == 0 && \
    (state == ASKING || (state == HELD && HELDFOR < TERM)))
#define is_late     (flight != NOTHING && flight != WAIT && AGE >= LIMIT)
#define must_give   (state == GIVING && flight == NOTHING)
#define all_is_done (!may_run || !(can_attempt || is_late || must_give))
#ifdef BASE /* only when nothing is under way */
#define BASE_ONLY true
#define can_give ((state == HELD || state == ASKING) && flight == NOTHING)
#else
#define BASE_ONLY false
#define can_give (state == HELD || state == ASKING)
#endif

#define ours          (left[0] > 0 || left[1] > 0)
#define is_free       (!ours && !others)
#define is_used(x)    (state != IDLE && share == x)
#define is_silent(x)  (!net[x].post && !net[x].wait && !net[x].give)
#define is_unused(x)  (is_silent(x) && left[x] == 0)

/* What must hold, always. */
inline check()
{
    assert(!work || asleep || left[share] > 0);
    assert(!(work && others) || asleep)
}

/* ---- the server's rules ---- */

/* Free, and we wait: an offer, if it is our turn. */
inline pass_on()
{
    if
    :: is_free && offer_left == 0 && waits ->
        offer_left = OFFER;
        if
        :: waits == 2 -> answer = OFFERED
        :: else /* our host has vanished: nobody hears it */
        fi;
        waits = 0
    :: else
    fi
}

inline leave_queue(x)
{
    if
    :: x == share -> waits = 0
    :: else
    fi
}

#ifdef BUG_no_tombstones
#define covered(x) false
#else
#define covered(x) tomb[x]
#endif
#ifdef BASE /* each holding has a client id of its own */
#define same_client(x) (left[x] > 0)
#else
#define same_client(x) ours
#endif
#define is_ours_to_take(x) (!covered(x) && (same_client(x) || \
    is_free))

inline serve_post(x, is_wait)
{
    if
    :: is_ours_to_take(x) ->
        assert(!tomb[x]); /* given back: held for nobody */
        left[x] = (is_used(x) -> L : 1);
        offer_left = 0;
        leave_queue(x);
        result = OK
    :: !is_ours_to_take(x) && is_wait && !covered(x) ->
        waits = 1
    :: else -> result = BUSY
    fi
}

inline serve_give(x)
{
    left[x] = 0;
    tomb[x] = 1;
    leave_queue(x);
    offer_left = 0;
    result = OK;
    pass_on()
}

/* POST with s=1, taken by a base service as any other. */
inline serve_shrink(x)
{
    if
    :: left[x] > 0 -> left[x] = 1
    :: is_free ->
        assert(!prompt[x]); /* a release that takes the lock */
        left[x] = 1
    :: else
    fi;
    result = OK
}

/* Only who still awaits it hears the answer. */
inline reply(x, what)
{
    if
    :: flight == what && share == x && fresh ->
        fresh = 0;
        answer = result;
        if
        :: what == WAIT && result == NOTHING -> waits = 2
        :: else
        fi
    :: else
    fi;
    result = 0
}

/* ---- the client's rules ---- */

inline abandon()
{
    flight = NOTHING;
    fresh = 0;
    answer = 0;
    age_boot = 0;
    age_raw = 0;
    age_drifted = 0;
    if
    :: waits == 2 -> waits = 1
    :: else
    fi
}

inline send(what)
{
    flight = what;
    fresh = 1;
    age_boot = 0;
    age_raw = 0;
    if
    :: what == POST -> net[share].post = 1
    :: what == WAIT -> net[share].wait = 1
    :: what == GIVE -> net[share].give = 1
    fi
}

inline rest()
{
    abandon();
    left[share] = (left[share] > 0 -> 1 : 0);
    prompt[share] = 0;
    state = IDLE;
    work = 0;
    wants = 0;
    ambiguous = 0;
    was_held = 0;
    held_boot = 0;
    held_raw = 0;
    held_drifted = 0;
    due = 0;
    failed = 0;
    excused = 0
}

inline fail()
{
    abandon();
    ambiguous = 1;
    failed = (failed < 2 -> failed + 1 : 2);
#ifdef BUG_retry_full_interval
    due = REFRESH
#else
    due = 0
#endif
}

inline take()
{
    state = HELD;
    work = 1;
    wants = 0;
    ambiguous = 0;
    failed = 0;
    excused = AGE > LIMIT;
#ifdef BUG_count_from_answer
    held_boot = 0;
    held_raw = 0;
#else
    held_boot = age_boot;
    held_raw = age_raw;
    held_drifted = age_drifted;
#endif
    due = (REFRESH > AGE -> REFRESH - AGE : 0);
    abandon()
}

inline hear()
{
    if
    :: state == GIVING -> rest()
    :: state != GIVING && answer == OFFERED ->
#ifdef BUG_offer_counts_from_wait
        take()
#else
        abandon();
        due = 0;
        send(POST)
#endif
    :: state == ASKING && answer == OK && AGE < TERM -> take()
    :: state == ASKING && answer == OK && AGE >= TERM -> fail()
    :: state == HELD && answer == OK -> take()
    :: state != GIVING && answer == BUSY ->
        assert(state != HELD); /* no other can have it */
        abandon();
#ifdef BASE
        due = 1
#else
        wants = 1
#endif
    fi
}

#ifdef BUG_release_after_expiry
#define is_in_time true
#else
#define is_in_time (HELDFOR < VALID)
#endif

/* Nothing of the work is left when this is done. */
inline end_work()
{
    work = 0;
#ifdef BASE
    was_held = state == HELD;
#endif
    state = GIVING;
    due = 0;
    wants = 0;
    failed = 0;
    excused = 0;
#ifndef BASE
    ambiguous = 0;
    held_boot = 0;
    held_raw = 0;
    held_drifted = 0
#endif
}

inline give_back()
{
#ifdef BASE
    if
    :: (was_held || ambiguous) && is_in_time ->
        prompt[share] = was_held && !ambiguous;
        send(GIVE)
    :: else -> rest() /* nothing to give, or it lapses */
    fi
#else
    send(GIVE)
#endif
}

/* ---- time ---- */

inline lose()
{
    /* One attempt that fails is no reason to lose a lock. */
    assert(failed > 1 || excused);
    abandon();
    end_work()
}

#define OLDER(n, stands) \
    n = ((stands) || n == VALID -> n : n + 1)

inline tick()
{
    /* BOOTTIME is slewed at will, here so that it stands still; RAW is one
     * tick wrong in a lease at most. Asleep, both go on: clock.c adds to RAW what BOOTTIME has slept. */
    boot_stands = !asleep;
    if
    :: raw_stands = 0
    :: !age_drifted && !held_drifted ->
        raw_stands = 1;
        age_drifted = flight != NOTHING;
        held_drifted = state == HELD || (state == GIVING && BASE_ONLY)
    fi;
#ifdef BUG_stops_in_suspend
    boot_stands = asleep;
    raw_stands = asleep;
#endif
    if
    :: flight != NOTHING ->
        OLDER(age_boot, boot_stands);
        OLDER(age_raw, raw_stands)
    :: else
    fi;
    if
    :: state == HELD || (state == GIVING && BASE_ONLY) ->
        OLDER(held_boot, boot_stands);
        OLDER(held_raw, raw_stands)
    :: else
    fi;
    boot_stands = 0;
    raw_stands = 0;
    due = (due > 0 -> due - 1 : 0);
    if
    :: state == HELD && HELDFOR >= VALID && watch_runs -> lose()
    :: else
    fi;
    i = 0;
    do
    :: i < SHARES ->
        left[i] = (left[i] > 0 && is_used(i) -> left[i] - 1 : left[i]);
        prompt[i] = 0;
        i++
    :: else -> break
    od;
    i = 0;
    offer_left = (offer_left > 0 -> offer_left - 1 : 0);
    pass_on()
}

inline restart()
{
    do
    :: i < SHARES ->
#ifdef BUG_restart_forgets
        left[i] = 0;
#else
        left[i] = (left[i] > 0 && is_used(i) -> L : left[i]);
#endif
        i++
    :: else -> break
    od;
    i = 0;
    waits = 0;
    offer_left = 0
}

/* ---- all that may happen ---- */

active proctype us()
{
end:
    do
    :: atomic { state == IDLE && may_run ->
        if
#ifdef BUG_reused_client
        :: share = 0
#else
        :: is_unused(0) -> share = 0
        :: is_unused(1) -> share = 1
#endif
        fi;
        tomb[share] = 0;
        state = ASKING
        }
    :: atomic { may_run && can_attempt ->
        if
        :: wants && state == ASKING -> send(WAIT)
        :: else -> send(POST)
        fi
        }
    :: atomic { may_run && answer -> hear(); check() }
    :: atomic { may_run && is_late && state != GIVING -> fail() }
    :: atomic { may_run && is_late && state == GIVING ->
        if
        :: rest() /* its limit is reached */
        :: abandon(); /* once more */
            ambiguous = BASE_ONLY
        fi
        }
    :: atomic { may_run && flight == WAIT -> abandon() }
    :: atomic { may_run && can_give -> abandon(); end_work() }
    :: atomic { may_run && must_give -> give_back() }
    :: atomic { may_run && state == HELD -> /* the keeper dies; adopt */
        abandon();
        ambiguous = 1;
        excused = 1;
        due = 0
        }
    :: atomic { may_run && state != IDLE -> paused = 1; excused = 1 }
    :: atomic { paused -> paused = 0 }
    :: atomic { may_run && state == HELD -> asleep = 1; excused = 1 }
    :: atomic { asleep -> /* the deadline is looked at before all else */
        asleep = 0;
        if
        :: HELDFOR >= VALID -> lose()
        :: else
        fi;
        check()
        }
    :: atomic { may_run && state != IDLE -> rest() } /* the power fails */
    od
}

inline pass(message) /* it comes, or it comes and will come again */
{
    if
    :: message = 0
    :: true
    fi
}

active proctype server()
{
end:
    do
    :: atomic {
        if
        :: s = 0
        :: s = 1
        fi;
        if
        :: net[s].post -> pass(net[s].post); serve_post(s, false); reply(s, POST)
        :: net[s].wait -> pass(net[s].wait); serve_post(s, true); reply(s, WAIT)
        :: net[s].give ->
            pass(net[s].give);
#ifdef BASE
            serve_shrink(s);
#else
            serve_give(s);
#endif
            reply(s, GIVE)
        :: net[s].post -> net[s].post = 0
        :: net[s].wait -> net[s].wait = 0
        :: net[s].give -> net[s].give = 0
        :: else
        fi;
        if /* nothing of it can come any more */
        :: is_silent(s) && !is_used(s) -> tomb[s] = 0
        :: else
        fi;
        s = 0;
        check()
        }
    :: atomic { is_free && offer_left == 0 && !waits -> others = 1; check() }
    :: atomic { others -> others = 0; pass_on() }
    :: atomic { left[0] > 0 && !is_used(0) -> left[0] = 0; pass_on() }
    :: atomic { left[1] > 0 && !is_used(1) -> left[1] = 0; pass_on() }
    :: atomic { waits == 1 -> waits = 0 } /* it sees that */
    :: atomic { restart(); check() }
    :: atomic { all_is_done -> tick(); check() }
    od
}
