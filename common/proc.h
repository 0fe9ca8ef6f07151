/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what /proc says of one process, read in bounded pieces without
 * allocating; a process named so that a reused pid is not taken for it; and
 * signals that reach that process only.
 */
#ifndef COMMON_PROC_H
#define COMMON_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* pid and start time in one word, 0: none. Fits an atomic. */
typedef uint64_t proc_key;

struct proc_stat {
    pid_t pid;
    pid_t parent;
    char state;
    bool is_alive;     /* no zombie, or one whose other threads still run */
    uint64_t terminal; /* device number, 0: none */
    uint64_t start;    /* clock ticks since boot */
};

/* false: there is no such process. */
bool proc_stat_read(pid_t pid, struct proc_stat *ret_stat);

proc_key proc_key_of(pid_t pid); /* 0: no such process */
proc_key proc_key_self(void);
pid_t proc_key_pid(proc_key key);
uint64_t proc_key_start(proc_key key); /* ticks since boot */
/* The very process runs (stopped counts, a zombie does not). */
bool proc_key_is_alive(proc_key key);
/* A pidfd of that very process, CLOEXEC; -1 with errno. */
int proc_key_open(proc_key key);
/* false: it was gone already, or may not be signalled. */
bool proc_key_signal(proc_key key, int signo);

int proc_pidfd_open(pid_t pid);
int proc_pidfd_signal(int fd, int signo);

/*
 * Where the process is in cgroup v2, "/" for its root; "" where that cannot be
 * told, or is longer than size - 1 bytes.
 */
void proc_cgroup_path(pid_t pid, char *ret_path, size_t size);

/* Now, in the unit of proc_stat.start. */
uint64_t proc_ticks_now(void);

/* Read at most size - 1 bytes of a file; NUL-terminated; -1 with errno. */
ssize_t proc_read_file(int dir, const char *path, char *data, size_t size);
/* Write all of text to an existing file; 0, or an errno. */
int proc_write_file(int dir, const char *path, const char *text);

/*
 * Call fn for every name in the directory until it returns false; hidden
 * names are left out. -1 with errno: could not be read.
 */
int proc_each_name(int dir, bool (*fn)(void *arg, int dir, const char *name),
                   void *arg);
/* A whole decimal number that is a pid; 0: it is none. */
pid_t proc_pid_of_name(const char *name);

#endif
