/* admin/restore.c - POST .../restore: an earlier configuration goes back into its files, and is loaded from there.
 *
 * The files stay the one truth: what is in force is always what a restart would load. So a version is refused when writing
 * its files would not bring it back, and everything that can be known is checked before the audit line and the first byte:
 *
 *   files_required     the version's files are known one by one, and this process reads its configuration from the first
 *   version_validates  it loads from memory, today's environment and patterns included, and reads exactly its files
 *   control->restore   all files are written or none, and loaded; a rejection puts back what was there */
#include "admin/actions.h"
#include "admin/dispatch.h"
#include "admin/versions.h"
#include "config/stored.h"

/* What is to be written; in the call's arena. */
struct restored {
    uint64_t generation;
    struct file_text *files;
    size_t count;
};

static const struct config *config_now(const struct admin_call *call)
{
    return call->control->snapshot(call->control->arg)->config;
}

/* A version of the time when paths were not stored is a single file: the one this process was given. */
static bool is_first_file_ours(struct admin_call *call, const struct restored *r)
{
    const struct file_text *now = &config_now(call)->files[0];
    if (slice_is_empty(r->files[0].path))
        r->files[0].path = now->path;
    if (slice_equal(r->files[0].path, now->path))
        return true;
    reply_error(call->reply, 409, "not_restorable",
                "generation %llu was read from %.*s; this process reads its configuration from %.*s",
                (unsigned long long)r->generation, SLICE_ARG(r->files[0].path), SLICE_ARG(now->path));
    return false;
}

static bool files_required(struct admin_call *call, struct restored *r)
{
    struct version version;
    struct slice text;
    if (!generation_param(call, &r->generation) || !version_required(call, r->generation, &version, &text))
        return false;
    if (!versions_files(call->control->store, &version, call->arena, &r->files, &r->count)) {
        reply_unreadable(call, "configuration versions");
        return false;
    }
    if (r->count == version.file_count && r->count > 0)
        return is_first_file_ours(call, r);
    reply_error(call->reply, 409, "not_restorable",
                "generation %llu was stored by an early weir, which did not keep its %zu files apart",
                (unsigned long long)r->generation, version.file_count);
    return false;
}

static void reply_strangers(struct admin_call *call, const struct restored *r, const struct stored_source *stored)
{
    size_t named = stored->stranger_count < STORED_STRANGERS_MAX ? stored->stranger_count : STORED_STRANGERS_MAX;
    struct slice message = arena_printf(
        call->arena, "`include` would read %zu %s that generation %llu did not have; nothing was changed",
        stored->stranger_count, stored->stranger_count == 1 ? "file" : "files", (unsigned long long)r->generation);
    reply_problems(call->reply, 409, "files_differ", message.ptr, stored->strangers, named);
}

static void reply_invalid(struct admin_call *call, const struct err_list *errors)
{
    size_t count = 0;
    struct slice *problems =
        arena_zalloc_array(call->arena, errors->error_count + errors->warning_count, sizeof *problems);
    for (const struct err *e = errors->first; e != NULL; e = e->next)
        problems[count++] = err_format(call->arena, e);
    reply_problems(call->reply, 422, "config_rejected", "that version does not validate any more; nothing was changed",
                   problems, count);
}

/* A variable in `include` that changed can leave files out; each is read once, so that their number tells. */
static bool reads_all(struct admin_call *call, const struct restored *r, const struct snapshot *snapshot)
{
    if (snapshot->config->file_count == r->count)
        return true;
    reply_error(call->reply, 409, "files_differ",
                "`include` would read %zu of the %zu files of generation %llu; nothing was changed",
                snapshot->config->file_count, r->count, (unsigned long long)r->generation);
    return false;
}

/* An old version may name what is gone by now (a variable, a file). Strangers come first: they are a reason why the rest
   would not validate. */
static bool version_validates(struct admin_call *call, const struct restored *r)
{
    bool is_good = false;
    struct err_list errors;
    struct stored_source stored;
    err_list_init(&errors, call->arena);
    stored_source_init(&stored, call->arena, &call->control->source, r->files, r->count);
    struct snapshot *snapshot = snapshot_create(config_now(call)->file.ptr, &stored.source, r->generation, &errors);
    if (stored.stranger_count > 0)
        reply_strangers(call, r, &stored);
    else if (snapshot == NULL)
        reply_invalid(call, &errors);
    else
        is_good = reads_all(call, r, snapshot);
    snapshot_destroy(snapshot);
    return is_good;
}

/* Asked first: nothing is written for a reload that is refused anyway. */
static bool is_serving(struct admin_call *call)
{
    if (call->control->state(call->control->arg) != PROCESS_DRAINING)
        return true;
    reply_error(call->reply, 409, "draining", "the process is draining and takes no new configuration");
    return false;
}

static bool audit(struct admin_call *call, const struct restored *r)
{
    struct json *detail = json_create_object();
    struct json *list = json_put_array(detail, "files");
    for (size_t i = 0; i < r->count; i++)
        json_push_string(list, r->files[i].path);
    bool is_good = call_audit(call, "config.restore", call->params[0], detail);
    json_destroy(detail);
    return is_good;
}

void api_restore(struct admin_call *call)
{
    struct restored r = { 0 };
    const struct admin_control *control = call->control;
    if (!is_serving(call) || !files_required(call, &r) || !version_validates(call, &r) || !audit(call, &r))
        return;
    struct text error = { 0 };
    const struct reload_outcome *outcome = control->restore(control->arg, r.files, r.count, call->actor.who, &error);
    if (outcome == NULL)
        reply_error(call->reply, 409, "not_written", "%s", error.bytes);
    else if (error.len > 0)
        reply_problems(call->reply, 500, "not_put_back", error.bytes, outcome->problems, outcome->problem_count);
    else
        reply_reload(call, outcome);
    text_fini(&error);
}
