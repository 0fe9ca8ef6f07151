/* SPDX-License-Identifier: MIT */
/*
 * test_transfer_name.c - name lookups: one at a time for a name, when one is
 * made again, how many hang at most, and that a lookup which outlives all of
 * us touches nothing. The resolver is the C library's for real names; those
 * of ".test" are ours.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/fail_alloc.h"
#include "test.h"
#include "transfer_name.h"

/* ---- a resolver that hangs or fails where a test says so ---- */

static unsigned lookups, hanging;
static bool is_broken;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

__attribute__((visibility("default"))) int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **res)
{
    static int (*real)(const char *, const char *, const struct addrinfo *,
                       struct addrinfo **);

    if (!real)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    __atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
    if (strstr(node, "hang") != NULL) {
        __atomic_add_fetch(&hanging, 1, __ATOMIC_SEQ_CST);
        pthread_mutex_lock(&gate);
        pthread_mutex_unlock(&gate);
        __atomic_sub_fetch(&hanging, 1, __ATOMIC_SEQ_CST);
    }
    if (__atomic_load_n(&is_broken, __ATOMIC_SEQ_CST))
        return EAI_AGAIN;
    return real(strstr(node, "six") != NULL ? "::1" : "127.0.0.1", service,
                hints, res);
}

static struct clock_time at(int64_t ms)
{
    static struct clock_time zero;

    if (zero.boot_ms == 0)
        zero = clock_now();
    return clock_add(zero, ms);
}

static unsigned count(void)
{
    return __atomic_load_n(&lookups, __ATOMIC_SEQ_CST);
}

/* Until the lookup of it is over. */
static void await(struct names *ns, const struct name *n)
{
    struct pollfd p = {.fd = names_fd(ns), .events = POLLIN};

    while (n->lookup != NULL) {
        assert_int_equal(poll(&p, 1, 10000), 1);
        names_collect(ns);
    }
}

static struct name *look(struct names *ns, const char *host, int64_t ms)
{
    struct name *n = names_get(ns, host, "80", at(ms));

    assert_non_null(n);
    return n;
}

/* ---- tests ---- */

static void test_urls(void **state)
{
    static const struct {
        const char *url, *host, *port; /* host NULL: nothing to look up */
    } cases[] = {
        {"http://head/", "head", "80"},
        {"https://head/", "head", "443"},
        {"HTTPS://head", "head", "443"},
        {"http://head:7171/x", "head", "7171"},
        {"http://a.b-c.example:1", "a.b-c.example", "1"},
        {"http://127.0.0.1/", NULL, NULL},
        {"http://127.0.0.1:80/", NULL, NULL},
        {"http://[::1]:80/", NULL, NULL},
        {"http:///", NULL, NULL},
        {"http://:80/", NULL, NULL},
        {"http://head:/", NULL, NULL},
        {"http://head:123456/", NULL, NULL},
        {"head", NULL, NULL},
        {"", NULL, NULL},
    };
    char host[NAME_HOST_MAX + 1], port[6], url[NAME_HOST_MAX + 20];

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        if (name_of_url(cases[i].url, host, port) != (cases[i].host != NULL))
            fail_msg("%s", cases[i].url);
        if (cases[i].host == NULL)
            continue;
        assert_string_equal(host, cases[i].host);
        assert_string_equal(port, cases[i].port);
    }
    for (int more = 0; more < 2; more++) {
        (void)snprintf(url, sizeof(url), "http://%0*d.x/",
                       NAME_HOST_MAX - 2 + more, 7);
        assert_int_equal(name_of_url(url, host, port), !more);
    }
}

static void test_once(void **state)
{
    struct names *ns = names_new();
    unsigned before = count();
    struct name *n, *other;

    (void)state;
    assert_non_null(ns);
    n = look(ns, "one.test", 0);
    assert_non_null(n->lookup);
    assert_ptr_equal(look(ns, "one.test", 10), n); /* it is under way */
    await(ns, n);
    assert_string_equal(n->addrs, "127.0.0.1");
    assert_int_equal(count(), before + 1);
    (void)look(ns, "one.test", 59999);
    assert_int_equal(count(), before + 1);
    /* A minute later it is looked up anew; what is known serves meanwhile. */
    (void)look(ns, "one.test", 60000);
    assert_string_equal(n->addrs, "127.0.0.1");
    await(ns, n);
    assert_int_equal(count(), before + 2);
    other = names_get(ns, "one.test", "81", at(60000)); /* another port */
    assert_ptr_not_equal(other, n);
    await(ns, other);
    assert_int_equal(count(), before + 3);
    n = look(ns, "six.test", 60000);
    await(ns, n);
    assert_string_equal(n->addrs, "[::1]");
    names_free(ns);
    names_free(NULL);
}

/* It fails: what was found before stays, and it is tried again soon. */
static void test_fails(void **state)
{
    struct names *ns = names_new();
    struct name *n = look(ns, "fails.test", 0);
    unsigned before;

    (void)state;
    await(ns, n);
    __atomic_store_n(&is_broken, true, __ATOMIC_SEQ_CST);
    (void)look(ns, "fails.test", 61000);
    await(ns, n);
    assert_string_equal(n->addrs, "127.0.0.1");
    assert_string_not_equal(n->why, "");
    before = count();
    (void)look(ns, "fails.test", 61000 + 4999);
    assert_int_equal(count(), before);
    (void)look(ns, "fails.test", 61000 + 5000);
    await(ns, n);
    assert_int_equal(count(), before + 1);
    __atomic_store_n(&is_broken, false, __ATOMIC_SEQ_CST);
    (void)look(ns, "fails.test", 72000);
    await(ns, n);
    assert_string_equal(n->why, "");
    /* One that never was found is asked for each time. */
    __atomic_store_n(&is_broken, true, __ATOMIC_SEQ_CST);
    n = look(ns, "never.test", 72000);
    await(ns, n);
    assert_string_equal(n->addrs, "");
    assert_has(n->why, "");
    (void)look(ns, "never.test", 72001);
    assert_non_null(n->lookup);
    await(ns, n);
    __atomic_store_n(&is_broken, false, __ATOMIC_SEQ_CST);
    names_free(ns);
}

/* A resolver that hangs takes eight threads, no more; each is given up after
 * half a minute, and nothing is left when they come back at last. */
static void test_hang(void **state)
{
    struct names *ns = names_new();
    struct name *n;
    char host[32];

    (void)state;
    pthread_mutex_lock(&gate);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(host, sizeof(host), "hang%d.test", i);
        n = look(ns, host, 0);
        assert_non_null(n->lookup);
    }
    while (__atomic_load_n(&hanging, __ATOMIC_SEQ_CST) < 8)
        (void)usleep(1000);
    n = look(ns, "late.test", 0);
    assert_null(n->lookup);
    assert_has(n->why, "no thread");
    n = look(ns, "hang0.test", 29999);
    assert_non_null(n->lookup);
    n = look(ns, "hang0.test", 30000); /* given up; its thread still hangs */
    assert_null(n->lookup);
    assert_has(n->why, "no thread");
    names_free(ns); /* before any of them has come back */
    pthread_mutex_unlock(&gate);
    while (__atomic_load_n(&hanging, __ATOMIC_SEQ_CST) > 0)
        (void)usleep(1000);
    ns = names_new(); /* with room again */
    n = look(ns, "late.test", 0);
    await(ns, n);
    assert_string_equal(n->addrs, "127.0.0.1");
    names_free(ns);
}

static bool all_of_it(void *arg)
{
    struct names *ns = names_new();
    struct name *n;
    bool good;

    (void)arg;
    if (ns == NULL)
        return false;
    n = names_get(ns, "one.test", "80", at(0));
    if (n != NULL)
        await(ns, n);
    good = n != NULL && n->addrs[0] != '\0';
    if (n != NULL && !good)
        assert_string_not_equal(n->why, "");
    names_free(ns);
    return good;
}

static void test_no_memory(void **state)
{
    (void)state;
    fail_alloc_only_ours(true); /* the thread's own are the C library's */
    assert_in_range(fail_alloc_each(all_of_it, NULL), 4, 100);
    fail_alloc_only_ours(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),      cmocka_unit_test(test_once),
        cmocka_unit_test(test_fails),     cmocka_unit_test(test_hang),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
