/* SPDX-License-Identifier: MIT */
/*
 * own_home.c - see own_home.h. A copy, since a link need not be of the same
 * file system.
 */
#include "own_home.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOME  "OWN_HOME"
#define BUILT "OWN_HOME_BUILT"

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void make(char *path, size_t size, const char *home, const char *name)
{
    (void)snprintf(path, size, "%s/%s", home, name);
    if (mkdir(path, 0755) < 0)
        give_up(path);
}

static void copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ssize_t n;

    if (in < 0 || out < 0)
        give_up(to);
    do
        n = sendfile(out, in, NULL, 1 << 24);
    while (n > 0);
    if (n < 0 || close(out) < 0)
        give_up(to);
    (void)close(in);
}

void own_home_enter(char **argv)
{
    const char *tmp = getenv("TMPDIR");
    char self[PATH_MAX] = "", home[64], path[PATH_MAX];

    if (getenv(HOME))
        return;
    (void)snprintf(home, sizeof(home), "%.30s/justalock-home.XXXXXX",
                   tmp ? tmp : "/tmp");
    if (!mkdtemp(home) || chmod(home, 0755) < 0 ||
        readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        give_up(home);
    make(path, sizeof(path), home, "libexec");
    make(path, sizeof(path), home, "libexec/justalock");
    make(path, sizeof(path), home, "bin");
    (void)strncat(path, strrchr(self, '/'), sizeof(path) - strlen(path) - 1);
    copy(self, path);
    if (setenv(BUILT, self, 1) < 0 || setenv(HOME, home, 1) < 0)
        give_up(home);
    (void)execv(path, argv);
    give_up(path);
}

void own_home_keeper(const char *program)
{
    char path[PATH_MAX], built[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/libexec/justalock/justalock-keeper",
                   getenv(HOME));
    (void)unlink(path);
    if (!program)
        return;
    (void)snprintf(built, sizeof(built), "%s", getenv(BUILT));
    for (int up = 0; up < 3; up++) /* BUILD/tests/unit/NAME */
        if (strrchr(built, '/'))
            *strrchr(built, '/') = '\0';
    (void)strncat(built, "/libexec/justalock/justalock-keeper",
                  sizeof(built) - strlen(built) - 1);
    if (symlink(program[0] != '\0' ? program : built, path) < 0)
        give_up(path);
}

void own_home_leave(void)
{
    char self[PATH_MAX] = "", path[PATH_MAX];
    const char *home = getenv(HOME);

    own_home_keeper(NULL);
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0)
        (void)unlink(self);
    for (int i = 0; i < 4; i++) {
        static const char *const folders[] = {"bin", "libexec/justalock",
                                              "libexec", ""};

        (void)snprintf(path, sizeof(path), "%s/%s", home, folders[i]);
        (void)rmdir(path);
    }
}
