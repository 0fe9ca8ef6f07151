/* SPDX-License-Identifier: MIT */
/*
 * fuzz_service.c - what anything that answers in a service's place may say:
 * status, headers, body. Nothing but 200 and 409 may mean anything, and what
 * is shown to users is clean.
 */
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect(bool is_so)
{
    if (!is_so)
        abort();
}

static bool is_clean(const char *text)
{
    return parse_is_clean_text(text, strlen(text));
}

/* One after the other, up to the one that says that it is the last. */
static void on_holder(void *arg, const struct keeper_view *view)
{
    struct keeper_view *last = arg;

    expect(last->has_more && view->slot < JUSTALOCK_SLOTS_MAX);
    expect(is_clean(view->holder) && is_clean(view->since));
    *last = *view;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct service_answer a;
    struct justalock_error err;
    struct keeper_view view;
    struct transfer_answer t = {.status = JUSTALOCK_OK};
    size_t head;

    if (len < 4)
        return 0;
    t.http_status = data[0] == 0 ? 200 : data[0] == 1 ? 409 : 100 + data[0];
    head = data[1] | (size_t)data[2] << 8;
    if (head > len - 3)
        head = len - 3;
    t.head = (const char *)data + 3;
    t.head_len = head;
    t.body = t.head + head;
    t.body_len = len - 3 - head;
    service_read(&t, &a);
    if (t.http_status != 200 && t.http_status != 409)
        expect(!a.usable);
    expect(is_clean(a.holder) && is_clean(a.since) && is_clean(a.text));
    expect(a.usable || a.status != JUSTALOCK_OK);
    if (service_read_view(&t, &view, &err) == JUSTALOCK_OK) {
        expect(is_clean(view.holder) && is_clean(view.since));
        if (view.has_more)
            expect(service_read_holders(&t, on_holder, &view, &err) ==
                       JUSTALOCK_OK &&
                   !view.has_more);
    }
    expect(!a.has_slot || a.slot < JUSTALOCK_SLOTS_MAX);
    return 0;
}
