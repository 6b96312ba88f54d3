/* tests/unit/shadow/fixture.c - pairs and settings of a comparison, written down in a line. */
#include "shadow/fixture.h"

#include <string.h>

struct slice_list texts_of(struct arena *arena, const char *const *items)
{
    struct slice_list list = { NULL, 0 };
    while (items[list.count] != NULL)
        list.count++;
    list.items = arena_zalloc_array(arena, list.count, sizeof *list.items);
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = slice_from_cstr(items[i]);
    return list;
}

static void head_add(struct message *m, struct arena *arena, const char *const *head)
{
    for (; head != NULL && *head != NULL; head += 2)
        message_add(m, arena, field_id_from_name(slice_from_cstr(head[0])), slice_from_cstr(head[0]),
                    slice_from_cstr(head[1]));
}

static void side_tell(struct pair *p, struct arena *arena, enum pair_side side, const struct told *told)
{
    struct message m;
    const char *body = told->body != NULL ? told->body : "";
    if (told->status != 0) {
        message_init(&m, arena, 4);
        m.is_response = true;
        m.status = told->status;
        head_add(&m, arena, told->head);
        pair_set_answer(p, side, &m, told->latency_us);
        pair_add_answer_body(p, side, body, strlen(body));
    }
    bool is_last =
        told->failure != REASON_NONE ? pair_failed(p, side, told->failure, told->latency_us) : pair_answered(p, side);
    (void)is_last;
}

static bool is_told(const struct told *told)
{
    return told != NULL && (told->status != 0 || told->failure != REASON_NONE);
}

struct pair *told_pair(const struct told *primary, const struct told *shadow, const struct told *control)
{
    static const char *const head[] = { "Authorization", "secret", "Accept", "*/*", NULL };
    const struct told *sides[] = { primary, shadow, control };
    struct pair_about about = { .shadow_id = 1,
                                .route = SLICE("shop"),
                                .upstream = SLICE("dark"),
                                .primary = SLICE("live"),
                                .control = SLICE("twin"),
                                .begun = { 1700000000000 },
                                .uses = PAIR_FOR_COMPARE,
                                .body_limit_bytes = 65536,
                                .limit_bytes = pair_limit(65536) };
    struct arena arena;
    struct message m;
    arena_init(&arena, NULL, 0);
    struct pair *p = pair_create(&about);
    message_init(&m, &arena, 2);
    m.method_name = SLICE("GET");
    m.target = SLICE("/cart?x=1&token=abc");
    m.authority = SLICE("shop.example.com");
    head_add(&m, &arena, head);
    pair_set_request(p, &m);
    pair_end_request(p);
    for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
        if (is_told(sides[side]))
            pair_await(p, (enum pair_side)side);
    for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
        if (is_told(sides[side]))
            side_tell(p, &arena, (enum pair_side)side, sides[side]);
    arena_reset(&arena);
    return p;
}

struct pair *json_pair(const char *primary, const char *shadow, const char *control)
{
    static const char *const head[] = { "Content-Type", "application/json; charset=utf-8", NULL };
    struct told sides[] = { { 200, head, primary, REASON_NONE, 1000 },
                            { 200, head, shadow, REASON_NONE, 2000 },
                            { 200, head, control, REASON_NONE, 1500 } };
    return told_pair(&sides[0], &sides[1], control != NULL ? &sides[2] : NULL);
}

struct slice comparison_text(struct arena *arena, const struct comparison *c)
{
    struct text out = { 0 };
    for (uint32_t i = 0; i < c->count; i++) {
        const struct difference *d = &c->items[i];
        text_printf(&out, "%.*s @ %.*s:", SLICE_ARG(d->field), SLICE_ARG(d->place));
        for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
            text_printf(&out, " %s%.*s", side > 0 ? "| " : "",
                        SLICE_ARG(d->values[side].ptr != NULL ? d->values[side] : SLICE("-")));
        text_printf(&out, " [%s%s%s]\n", d->is_different[PAIR_SHADOW] ? "s" : "",
                    d->is_different[PAIR_CONTROL] ? "c" : "", d->is_checked ? "" : "?");
    }
    struct slice copy = arena_copy(arena, text_slice(&out));
    text_fini(&out);
    return copy;
}
