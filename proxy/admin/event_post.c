/* admin/event_post.c - POST /api/v1/events: deployments and what else weir cannot know of, tied to what they may have changed.
 *
 * Kinds with a dot are weir's own ("config.applied"); whoever posts chooses a word without one. What is said beside the row's own
 * columns goes into its detail: title, tags, link, route, upstream, rollout, and the metrics of before and after. */
#include "admin/dispatch.h"
#include "admin/follow.h"
#include "base/units.h"
#include "config/model_rollout.h"
#include "store/deed.h"

#include <stdarg.h>
#include <stdio.h>

#define KIND_BYTES    64
#define SUBJECT_BYTES 256
#define TEXT_BYTES    1000
#define DETAIL_BYTES  4096 /* with all that ties it, but for the metrics */
#define DETAIL_LEVELS 16   /* lists of events put it deeper, and parsers of JSON have an end */
#define TITLE_BYTES   256
#define TAGS_MAX      16
#define TAG_BYTES     64
#define LINK_BYTES    1024
#define NAME_BYTES    256

#define WINDOW_MS     INT64_C(300000) /* and no more: nothing older is known */
#define WINDOW_MIN_MS INT64_C(5000)

/* Clocks of machines differ a little; more than that ahead is a mistake: what is still to come is no event. */
#define AHEAD_MS INT64_C(60000)

/* An event under construction. The row borrows. */
struct posted {
    struct event_row row;
    struct slice title, link, route, upstream, rollout;
    const struct json *tags;
    struct deployment_asked asked;
    struct json *detail;      /* owned: what is stored but for the metrics */
    struct text bytes, whole; /* of it, without and with them */
};

static bool refuse(struct admin_call *call, const char *format, ...) PRINTF_LIKE(2, 3);
static bool refuse(struct admin_call *call, const char *format, ...)
{
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    reply_error(call->reply, 400, "bad_event", "%s", line);
    return false;
}

/* ---- members -------------------------------------------------------------------------------------------------------------- */

static bool members_check(struct admin_call *call)
{
    static const char *const known[] = { "reason", "kind", "subject", "text",     "at",      "detail", "title",
                                         "tags",   "link", "route",   "upstream", "rollout", "window" };
    struct slice key;
    void *cursor = NULL;
    while (json_next(call->body, &cursor, &key) != NULL) {
        bool is_known = false;
        for (size_t i = 0; i < ARRAY_COUNT(known); i++)
            is_known |= slice_equal(key, slice_from_cstr(known[i]));
        if (!is_known)
            return refuse(call, "\"%.*s\" is no member of an event; \"detail\" takes what is yours",
                          (int)(key.len < 64 ? key.len : 64), key.ptr);
    }
    return true;
}

static bool is_kind(struct slice kind)
{
    for (size_t i = 0; i < kind.len; i++) {
        char c = kind.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return kind.len > 0 && kind.len <= KIND_BYTES;
}

/* One line. */
static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* A member of the body; absent leaves the default. False with a 400. */
static bool text_read(struct admin_call *call, const char *key, size_t limit, struct slice *out)
{
    const struct json *value = json_get(call->body, key);
    if (value == NULL)
        return true;
    if (json_as_string(value, out) && out->len <= limit)
        return true;
    return refuse(call, "\"%s\" is not a text of at most %zu bytes", key, limit);
}

static bool line_read(struct admin_call *call, const char *key, size_t limit, struct slice *out)
{
    if (!text_read(call, key, limit, out))
        return false;
    return is_plain(*out) || refuse(call, "\"%s\" is not one line of text", key);
}

static bool time_read(struct admin_call *call, struct event_row *event)
{
    struct slice at = SLICE_NONE;
    struct wall_time now = clock_wall();
    event->at = now;
    if (!text_read(call, "at", 64, &at))
        return false;
    if (at.len > 0 && !wall_parse(at.ptr, at.len, &event->at))
        return refuse(call, "\"at\" is not a time such as 2026-11-23T21:45:13Z");
    if (event->at.unix_ms <= 0)
        return refuse(call, "\"at\" is before 1970");
    if (event->at.unix_ms - now.unix_ms > AHEAD_MS)
        return refuse(call, "\"at\" is more than a minute ahead: an event has happened");
    return true;
}

static bool window_read(struct admin_call *call, int64_t *window_ms)
{
    struct slice window = SLICE_NONE;
    *window_ms = WINDOW_MS;
    if (!text_read(call, "window", 16, &window))
        return false;
    if (json_get(call->body, "window") == NULL ||
        (units_parse_duration(window, window_ms) && *window_ms >= WINDOW_MIN_MS && *window_ms <= WINDOW_MS))
        return true;
    return refuse(call, "\"window\" is not a duration from 5s to 5m");
}

static bool tags_read(struct admin_call *call, struct posted *p)
{
    struct slice tag;
    p->tags = json_get(call->body, "tags");
    if (p->tags == NULL)
        return true;
    bool is_good = json_kind(p->tags) == JSON_KIND_ARRAY && json_count(p->tags) <= TAGS_MAX;
    for (size_t i = 0; is_good && i < json_count(p->tags); i++)
        is_good = json_as_string(json_at(p->tags, i), &tag) && tag.len > 0 && tag.len <= TAG_BYTES && is_plain(tag);
    return is_good || refuse(call, "\"tags\" is not a list of at most %d words of 1 to %d bytes", TAGS_MAX, TAG_BYTES);
}

/* It is shown to people who may follow it: nothing but the web. */
static bool link_read(struct admin_call *call, struct slice *link)
{
    if (!line_read(call, "link", LINK_BYTES, link))
        return false;
    bool is_web = slice_has_prefix(*link, SLICE("http://")) || slice_has_prefix(*link, SLICE("https://"));
    if (json_get(call->body, "link") == NULL || (is_web && slice_find(*link, ' ') == link->len))
        return true;
    return refuse(call, "\"link\" is not an http or https URL");
}

/* ---- what it is tied to --------------------------------------------------------------------------------------------------- */

static bool route_check(struct admin_call *call, const struct config *config, struct slice name)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (slice_equal(config->routes[i].name, name))
            return true;
    return refuse(call, "\"route\": there is no route \"%.*s\"", SLICE_ARG(name));
}

static bool upstream_check(struct admin_call *call, const struct config *config, struct slice name)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (slice_equal(config->upstreams[i].name, name))
            return true;
    return refuse(call, "\"upstream\": there is no upstream \"%.*s\"", SLICE_ARG(name));
}

/* A rollout stands for its route. */
static bool rollout_check(struct admin_call *call, const struct config *config, struct posted *p)
{
    for (size_t i = 0; i < config->rollout_count; i++) {
        const struct rollout_config *rollout = &config->rollouts[i];
        if (!slice_equal(rollout->name, p->rollout))
            continue;
        if (!slice_is_empty(p->route) && !slice_equal(p->route, rollout->route))
            return refuse(call, "\"rollout\": \"%.*s\" is of the route \"%.*s\", not of \"%.*s\"",
                          SLICE_ARG(p->rollout), SLICE_ARG(rollout->route), SLICE_ARG(p->route));
        p->route = rollout->route;
        return true;
    }
    return refuse(call, "\"rollout\": there is no rollout \"%.*s\"", SLICE_ARG(p->rollout));
}

static bool ties_read(struct admin_call *call, struct posted *p)
{
    const struct config *config = call->control->snapshot(call->control->arg)->config;
    if (!line_read(call, "route", NAME_BYTES, &p->route) || !line_read(call, "upstream", NAME_BYTES, &p->upstream) ||
        !line_read(call, "rollout", NAME_BYTES, &p->rollout) || !window_read(call, &p->asked.window_ms))
        return false;
    if ((json_get(call->body, "route") != NULL && !route_check(call, config, p->route)) ||
        (json_get(call->body, "upstream") != NULL && !upstream_check(call, config, p->upstream)) ||
        (json_get(call->body, "rollout") != NULL && !rollout_check(call, config, p)))
        return false;
    p->asked.at = p->row.at;
    p->asked.route = p->route;
    p->asked.upstream = p->upstream;
    return true;
}

/* ---- the detail ----------------------------------------------------------------------------------------------------------- */

static bool is_shallow(const struct json *value, unsigned levels)
{
    struct slice key;
    void *cursor = NULL;
    bool is = levels > 0;
    if (json_kind(value) == JSON_KIND_OBJECT)
        for (const struct json *v = json_next(value, &cursor, &key); is && v != NULL;
             v = json_next(value, &cursor, &key))
            is = is_shallow(v, levels - 1);
    if (json_kind(value) == JSON_KIND_ARRAY)
        for (size_t i = 0; is && i < json_count(value); i++)
            is = is_shallow(json_at(value, i), levels - 1);
    return is;
}

/* A document of one's own, to add to. */
static bool detail_begin(struct admin_call *call, struct posted *p)
{
    const struct json *value = json_get(call->body, "detail");
    struct text bytes = { 0 }, fault = { 0 };
    struct slice key;
    void *cursor = NULL;
    if (value == NULL) {
        p->detail = json_create_object();
        return true;
    }
    if (!is_shallow(value, DETAIL_LEVELS))
        return refuse(call, "\"detail\" is nested deeper than %d levels", DETAIL_LEVELS);
    json_write(value, &bytes);
    bool is_good = json_kind(value) == JSON_KIND_OBJECT && bytes.len <= DETAIL_BYTES;
    p->detail = is_good ? json_parse(text_slice(&bytes), &fault) : NULL;
    text_fini(&bytes);
    text_fini(&fault);
    if (p->detail == NULL)
        return refuse(call, "\"detail\" is not an object of at most %d bytes", DETAIL_BYTES);
    while (json_next(value, &cursor, &key) != NULL)
        if (is_event_member(key))
            return refuse(call, "\"%.*s\" stands beside \"detail\", not in it", SLICE_ARG(key));
    return true;
}

static void put_said(struct json *detail, const char *key, struct slice value)
{
    if (!slice_is_empty(value))
        json_put_string(detail, key, value);
}

static bool detail_finish(struct admin_call *call, struct posted *p)
{
    struct slice tag;
    struct json *tags = json_count(p->tags) > 0 ? json_put_array(p->detail, "tags") : NULL;
    for (size_t i = 0; tags != NULL && i < json_count(p->tags); i++)
        if (json_as_string(json_at(p->tags, i), &tag))
            json_push_string(tags, tag);
    put_said(p->detail, "title", p->title);
    put_said(p->detail, "link", p->link);
    put_said(p->detail, "route", p->route);
    put_said(p->detail, "upstream", p->upstream);
    put_said(p->detail, "rollout", p->rollout);
    json_write(p->detail, &p->bytes);
    return p->bytes.len <= DETAIL_BYTES ||
           refuse(call, "\"detail\" and what ties the event are more than %d bytes", DETAIL_BYTES);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */

static bool event_read(struct admin_call *call, struct posted *p)
{
    p->row.kind = SLICE("deploy");
    p->row.who = call->actor.who;
    if (!members_check(call) || !text_read(call, "kind", KIND_BYTES, &p->row.kind) ||
        !text_read(call, "subject", SUBJECT_BYTES, &p->row.subject) ||
        !text_read(call, "text", TEXT_BYTES, &p->row.text) || !time_read(call, &p->row))
        return false;
    if (!is_kind(p->row.kind))
        return refuse(call, "\"kind\" is not a word of a-z, 0-9, - and _");
    return line_read(call, "title", TITLE_BYTES, &p->title) && tags_read(call, p) && link_read(call, &p->link) &&
           ties_read(call, p) && detail_begin(call, p) && detail_finish(call, p);
}

/* The audit log has what was said; the row also what was measured. */
static void event_store(struct admin_call *call, struct posted *p)
{
    const struct admin_control *control = call->control;
    struct deed deed = { .audit = { .action = SLICE("event.add"), .target = p->row.subject }, .event = &p->row };
    if (json_count(p->detail) > 0)
        deed.audit.detail = text_slice(&p->bytes);
    if (slice_is_empty(deed.audit.target))
        deed.audit.target = p->row.kind;
    control->deployment_begin(control->arg, &p->asked, json_put_object(p->detail, "metrics"));
    json_write(p->detail, &p->whole);
    p->row.detail = text_slice(&p->whole);
    bool is_stored = call_deed(call, &deed);
    control->deployment_stored(control->arg, is_stored ? &p->row : NULL, text_slice(&p->bytes));
    if (!is_stored)
        return;
    control->publish_event(control->arg, &p->row);
    struct json *root = json_create_object();
    put_event(root, &p->row);
    reply_json(call->reply, 201, root);
}

void api_event_post(struct admin_call *call)
{
    struct posted posted = { 0 };
    if (event_read(call, &posted))
        event_store(call, &posted);
    json_destroy(posted.detail);
    text_fini(&posted.bytes);
    text_fini(&posted.whole);
}
