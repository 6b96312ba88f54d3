/* cli/ctl_audit.c - `weir ctl audit` and `weir ctl hygiene`: who changed what, and what nobody looks after. */
#include "cli/ctl.h"

#include "store/audit.h"

/* ---- audit ---------------------------------------------------------------------------------------------------------------- */

static enum ctl_verdict print_lines(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "id", ALIGN_RIGHT },    { "at", ALIGN_LEFT },
                                                   { "who", ALIGN_LEFT },    { "action", ALIGN_LEFT },
                                                   { "target", ALIGN_LEFT }, { "reason", ALIGN_LEFT } };
    const struct json *lines = json_get(answer, "lines");
    struct table t;
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(lines); i++) {
        const struct json *l = json_at(lines, i);
        table_add(&t, PAINT_DIM, "%lld", (long long)ctl_integer(l, "id"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, l, "at"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, l, "who"));
        table_add(&t, PAINT_BOLD, "%s", ctl_text(call, l, "action"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, l, "target"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, l, "reason"));
    }
    table_print(&t, coloured, out);
    table_fini(&t);
    return json_kind(lines) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

/* Bad news is a good answer: the log was read, and somebody has changed it. The exit status tells, for cron. */
static enum ctl_verdict print_verdict(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    long long count = (long long)ctl_integer(answer, "checked");
    if (json_kind(json_get(answer, "ok")) != JSON_KIND_BOOL)
        return CTL_UNKNOWN;
    if (ctl_flag(answer, "ok")) {
        terminal_add(out, coloured, PAINT_GREEN, SLICE("whole"));
        text_printf(out, ": %lld lines, newest hash %s\n", count, ctl_text(call, answer, "newest_hash"));
        return CTL_SHOWN;
    }
    terminal_add(out, coloured, PAINT_RED, SLICE("broken"));
    text_printf(out, ": at line %lld: %s\n", (long long)ctl_integer(answer, "bad_id"), ctl_text(call, answer, "why"));
    return CTL_BAD_NEWS;
}

/* The verdict in the words of the API. */
static struct json *verdict_create(const struct audit_verdict *v)
{
    struct json *root = json_create_object();
    json_put_bool(root, "ok", v->bad_id == 0);
    json_put_i64(root, "checked", v->checked_count);
    json_put_cstr(root, "newest_hash", v->newest_hash[0] != '\0' ? v->newest_hash : NULL);
    if (v->bad_id != 0) {
        json_put_i64(root, "bad_id", v->bad_id);
        json_put_cstr(root, "why", v->why);
    }
    return root;
}

/* By the files of the state directory, whether a weir runs there or not, or cannot any more. Writes nothing. */
static enum command_status verify_offline(struct call *call)
{
    struct audit_verdict verdict;
    struct store *store = store_open_to_read(ctl_database(call));
    enum command_status status = COMMAND_FAILED;
    if (store_is_usable(store) && audit_verify(store, &verdict)) {
        struct json *answer = verdict_create(&verdict);
        status = ctl_show_document(call, answer, print_verdict);
        json_destroy(answer);
    } else {
        command_failed(call, "%s", store_message(store));
    }
    store_close(store);
    return status;
}

static enum command_status run_audit(struct call *call)
{
    const struct ctl_values *values = call->values;
    if (values->is_offline && !values->is_verify)
        return command_misused(call, "--offline goes with --verify");
    if (values->is_offline)
        return verify_offline(call);
    struct ctl_request lines = { .method = "GET", .path = "audit" };
    struct ctl_request verify = { .method = "GET", .path = "audit/verify" };
    if (values->is_verify)
        return ctl_show(call, &verify, print_verdict);
    return ctl_show(call, &lines, print_lines);
}

static const struct option_row options[] = {
    { .name = "verify",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_verify),
      .doc = "checks that no line was changed or removed" },
    { .name = "offline",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_offline),
      .doc = "with --verify: by the files in the state directory, whether weir runs or not" },
};

const struct command ctl_audit = {
    .name = "audit",
    .synopsis = "[--verify [--offline]]",
    .summary = "who changed what, and why; newest first",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .run = run_audit,
};

/* ---- hygiene -------------------------------------------------------------------------------------------------------------- */

/* Findings leave the exit status 0: an expired rule works on as before. */
static enum ctl_verdict print_hygiene(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "what", ALIGN_LEFT },
                                                   { "name", ALIGN_LEFT },
                                                   { "problem", ALIGN_LEFT },
                                                   { "owner", ALIGN_LEFT },
                                                   { "place", ALIGN_LEFT } };
    const struct json *findings = json_get(answer, "findings");
    struct table t;
    if (json_count(findings) == 0)
        text_add_cstr(out, "nothing has expired, and everything has an owner\n");
    if (json_count(findings) == 0)
        return json_kind(findings) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(findings); i++) {
        const struct json *f = json_at(findings, i);
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, f, "what"));
        table_add(&t, PAINT_BOLD, "%s", ctl_text(call, f, "name"));
        table_add(&t, PAINT_YELLOW, "%s", ctl_text(call, f, "problem"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, f, "owner"));
        table_add(&t, PAINT_DIM, "%s", ctl_text(call, f, "place"));
    }
    table_print(&t, coloured, out);
    table_fini(&t);
    return CTL_SHOWN;
}

static enum command_status run_hygiene(struct call *call)
{
    struct ctl_request request = { .method = "GET", .path = "hygiene" };
    return ctl_show(call, &request, print_hygiene);
}

const struct command ctl_hygiene = {
    .name = "hygiene",
    .synopsis = "",
    .summary = "what of the configuration has expired or has no owner",
    .run = run_hygiene,
};
