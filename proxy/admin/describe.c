/* admin/describe.c - the configuration's small languages, read back.
 *
 * For people: short, unquoted where nothing can be mistaken, and not meant to be parsed. */
#include "admin/describe.h"

#include "admin/call.h"

static const char *const subject_names[] = {
    [SUBJECT_HEADER] = "header",
    [SUBJECT_COOKIE] = "cookie",
    [SUBJECT_QUERY] = "query",
    [SUBJECT_PATH] = "path",
    [SUBJECT_HOST] = "host",
    [SUBJECT_METHOD] = "method",
    [SUBJECT_SOURCE] = "source",
    [SUBJECT_SEGMENT] = "segment",
    [SUBJECT_SAMPLE] = "sample",
    [SUBJECT_BETWEEN] = "between",
    [SUBJECT_TLS_CLIENT] = "tls_client",
};

static const char *const operator_names[] = {
    [OPERATOR_NONE] = "",         [OPERATOR_EQUALS] = "equals",   [OPERATOR_IN] = "in",
    [OPERATOR_PREFIX] = "prefix", [OPERATOR_SUFFIX] = "suffix",   [OPERATOR_CONTAINS] = "contains",
    [OPERATOR_REGEX] = "regex",   [OPERATOR_PRESENT] = "present", [OPERATOR_RANGE] = "range",
};

static const char *const key_names[] = {
    [KEY_NONE] = "",       [KEY_COOKIE] = "cookie",    [KEY_HEADER] = "header",
    [KEY_QUERY] = "query", [KEY_SOURCE_IP] = "source",
};

void describe_key(struct text *out, const struct key_config *key)
{
    if (key->kind == KEY_SOURCE_IP)
        text_add_cstr(out, "source ip");
    else if (key->kind != KEY_NONE)
        text_printf(out, "%s %.*s", key_names[key->kind], SLICE_ARG(key->name));
}

static void add_networks(struct text *out, const struct condition_config *c)
{
    char address[46];
    for (size_t i = 0; i < c->network_count; i++) {
        const struct ip_network *n = &c->networks[i];
        bool is_v4 = ip_format(&n->address, address) > 0 && strchr(address, ':') == NULL;
        text_printf(out, " %s/%u", address, is_v4 ? n->prefix_bits - 96u : n->prefix_bits);
    }
}

static void add_between(struct text *out, const struct condition_config *c)
{
    char from[25], until[25];
    wall_format(c->from, from);
    wall_format(c->until, until);
    text_printf(out, " %s and %s", from, until);
}

static void add_sample(struct text *out, const struct condition_config *c)
{
    char share[32];
    units_format_share(c->share_ppm, share, sizeof share);
    text_printf(out, " %s by ", share);
    describe_key(out, &c->sample_key);
}

/* What follows the subject. */
static void add_operands(struct text *out, const struct condition_config *c)
{
    if (!slice_is_empty(c->name))
        text_printf(out, " %.*s", SLICE_ARG(c->name));
    if (c->op == OPERATOR_PRESENT)
        text_add_cstr(out, c->is_present ? " present" : " absent");
    else if (c->op == OPERATOR_RANGE)
        text_printf(out, " from %g below %g", c->low, c->high);
    else if (c->op != OPERATOR_NONE)
        text_printf(out, " %s", operator_names[c->op]);
    for (size_t i = 0; i < c->values.count; i++)
        text_printf(out, " \"%.*s\"", SLICE_ARG(c->values.items[i]));
}

static void add_test(struct text *out, const struct condition_config *c)
{
    text_add_cstr(out, subject_names[c->subject]);
    if (c->subject == SUBJECT_SOURCE)
        add_networks(out, c);
    else if (c->subject == SUBJECT_SAMPLE)
        add_sample(out, c);
    else if (c->subject == SUBJECT_BETWEEN)
        add_between(out, c);
    else
        add_operands(out, c);
}

void describe_condition(struct text *out, const struct condition_config *condition)
{
    static const char *const words[] = {
        [CONDITION_TEST] = "", [CONDITION_ALL] = "all of (", [CONDITION_ANY] = "any of (", [CONDITION_NOT] = "not ("
    };
    if (condition == NULL) {
        text_add_cstr(out, "always");
        return;
    }
    if (condition->kind == CONDITION_TEST) {
        add_test(out, condition);
        return;
    }
    text_add_cstr(out, words[condition->kind]);
    for (size_t i = 0; i < condition->child_count; i++) {
        if (i > 0)
            text_add_cstr(out, "; ");
        describe_condition(out, &condition->children[i]);
    }
    text_add_char(out, ')');
}

static void add_words(struct text *out, const char *name, const struct slice_list *list)
{
    if (list->count == 0)
        return;
    text_printf(out, "%s%s", out->len > 0 ? ", " : "", name);
    for (size_t i = 0; i < list->count; i++)
        text_printf(out, " %.*s", SLICE_ARG(list->items[i]));
}

void describe_match(struct text *out, const struct match_config *match)
{
    static const char *const kinds[] = {
        [PATH_ANY] = "", [PATH_EXACT] = "exact", [PATH_PREFIX] = "prefix", [PATH_REGEX] = "regex"
    };
    add_words(out, "host", &match->hosts);
    if (match->path_kind != PATH_ANY)
        text_printf(out, "%spath %s %.*s", out->len > 0 ? ", " : "", kinds[match->path_kind], SLICE_ARG(match->path));
    add_words(out, "method", &match->methods);
    if (match->when != NULL) {
        text_printf(out, "%swhen ", out->len > 0 ? ", " : "");
        describe_condition(out, match->when);
    }
    if (out->len == 0)
        text_add_cstr(out, "any request");
}

void put_ownership(struct json *object, const struct ownership_config *ownership)
{
    static const char *const kinds[] = { [RELEASE_UNSET] = NULL,
                                         [RELEASE_RELEASE] = "release",
                                         [RELEASE_OPERATIONAL] = "operational",
                                         [RELEASE_EXPERIMENT] = "experiment" };
    put_optional(object, "owner", ownership->owner);
    json_put_cstr(object, "kind", kinds[ownership->kind]);
    json_put_time(object, "expires", ownership->expires);
    put_optional(object, "doc", ownership->doc);
    put_optional(object, "runbook", ownership->runbook);
}
