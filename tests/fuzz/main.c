/* SPDX-License-Identifier: MIT */
/*
 * main.c - a fuzz target where there is no clang: runs it over the files it is
 * given, then over what becomes of them when bytes are changed, dropped,
 * doubled and spliced, for so many seconds. The same seed makes the same
 * inputs; an input that ends the program is left in the file OUT.
 *
 *   fuzz_X SECONDS SEED OUT FILE...
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX 65536
#define SEEDS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    uint8_t *data;
    size_t len;
} seeds[SEEDS_MAX];
static size_t seeds_len;
static uint64_t state;

/* What is tried just now, in a file's pages: there when we are not. */
static struct now {
    uint64_t len;
    uint8_t data[INPUT_MAX];
} * now;

/* splitmix64 */
static uint64_t draw(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(draw() % n);
}

static void one_change(void)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '\n', '/', '"', ' '};
    uint8_t *data = now->data;
    size_t len = now->len;
    size_t at = below(len + 1);
    size_t n = below(len - at + 1);

    if (n > 32 && draw() % 4 != 0)
        n %= 32;
    switch (below(8)) {
    case 0: /* a bit */
        if (at < len)
            data[at] ^= (uint8_t)(1U << below(8));
        break;
    case 1:
        if (at < len)
            data[at] = odd[below(sizeof(odd))];
        break;
    case 2:
        if (at < len)
            data[at] = (uint8_t)draw();
        break;
    case 3: /* cut out */
        memmove(data + at, data + at + n, len - at - n);
        now->len -= n;
        break;
    case 4: /* twice */
        if (len + n > INPUT_MAX)
            break;
        memmove(data + at + n, data + at, len - at);
        now->len += n;
        break;
    case 5: /* the end is missing */
        now->len = at;
        break;
    case 6: /* one more, anywhere */
        if (len == INPUT_MAX)
            break;
        memmove(data + at + 1, data + at, len - at);
        data[at] = (uint8_t)draw();
        now->len++;
        break;
    default: { /* goes on as another one */
        size_t other = below(seeds_len);
        size_t from = below(seeds[other].len + 1);
        size_t more = seeds[other].len - from;

        if (at + more > INPUT_MAX)
            break;
        memcpy(data + at, seeds[other].data + from, more);
        now->len = at + more;
    }
    }
}

static void try(void)
{
    /* A copy of just that size: the sanitizer knows its end. */
    uint8_t *copy = malloc(now->len > 0 ? now->len : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, now->data, now->len);
    (void)LLVMFuzzerTestOneInput(copy, now->len);
    free(copy);
}

static void take(const void *data, size_t len)
{
    memcpy(now->data, data, len);
    now->len = len;
}

static void read_seed(const char *path)
{
    static uint8_t data[INPUT_MAX];
    FILE *f = fopen(path, "re");
    size_t len;

    if (f == NULL || seeds_len == SEEDS_MAX) {
        fprintf(stderr, "%s: not read\n", path);
        exit(66);
    }
    len = fread(data, 1, sizeof(data), f);
    (void)fclose(f);
    seeds[seeds_len].data = malloc(len > 0 ? len : 1);
    if (seeds[seeds_len].data == NULL)
        exit(71);
    memcpy(seeds[seeds_len].data, data, len);
    seeds[seeds_len++].len = len;
}

static void map_now(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, sizeof(*now)) != 0)
        exit(73);
    now = mmap(NULL, sizeof(*now), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (now == MAP_FAILED)
        exit(73);
}

int main(int argc, char **argv)
{
    unsigned long long inputs = 0;
    time_t end;

    if (argc < 4)
        return 64;
    state = strtoull(argv[2], NULL, 10);
    map_now(argv[3]);
    for (int i = 4; i < argc; i++)
        read_seed(argv[i]);
    try();
    for (size_t i = 0; i < seeds_len; i++) {
        take(seeds[i].data, seeds[i].len);
        try();
    }
    end = time(NULL) + (time_t)strtoull(argv[1], NULL, 10);
    while (time(NULL) < end) {
        if (seeds_len > 0) {
            size_t i = below(seeds_len);

            take(seeds[i].data, seeds[i].len);
        } else {
            now->len = 0;
        }
        for (size_t n = 1 + below(8); n > 0; n--)
            one_change();
        try();
        inputs++;
    }
    printf("%llu inputs\n", inputs);
    for (size_t i = 0; i < seeds_len; i++)
        free(seeds[i].data);
    return 0;
}
