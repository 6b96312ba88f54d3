/* admin/restore.c - POST .../restore: an earlier configuration goes back into its file, and is loaded from there.
 *
 * The file stays the one truth: what is in force is always what a restart would load. Only single-file configurations can
 * be restored, since parts of a file set may belong to others. */
#include "admin/actions.h"
#include "admin/dispatch.h"
#include "admin/versions.h"
#include "config/load.h"
#include "route/table.h"

/* Behind the line "# FILE" that the loader puts before each file. */
static struct slice file_bytes(struct slice text)
{
    return slice_after(text, slice_find(text, '\n') + 1);
}

/* An old text may name what is gone by now (a variable, a file): it is checked before it overwrites anything. */
static bool text_validates(struct admin_call *call, struct slice bytes)
{
    struct arena arena;
    struct err_list errors;
    const struct config *now = call->control->snapshot(call->control->arg)->config;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, call->arena);
    const struct config *config = config_load_bytes(&arena, now->file.ptr, bytes, &config_source_system, &errors);
    bool is_good = config != NULL && route_table_build(&arena, config, &errors) != NULL;
    if (!is_good) {
        size_t count = 0;
        struct slice *problems =
            arena_zalloc_array(call->arena, errors.error_count + errors.warning_count, sizeof *problems);
        for (const struct err *e = errors.first; e != NULL; e = e->next)
            problems[count++] = err_format(call->arena, e);
        reply_problems(call->reply, 422, "config_rejected",
                       "that version does not validate any more; nothing was changed", problems, count);
    }
    arena_reset(&arena);
    return is_good;
}

static bool is_single_file(struct admin_call *call, const struct version *version)
{
    const struct config *now = call->control->snapshot(call->control->arg)->config;
    if (version->file_count == 1 && now->file_count == 1)
        return true;
    reply_error(call->reply, 409, "several_files",
                "the configuration consists of several files; only one that is a single file can be "
                "restored");
    return false;
}

void api_restore(struct admin_call *call)
{
    struct version version;
    struct slice text;
    uint64_t generation;
    const struct admin_control *control = call->control;
    if (!generation_param(call, &generation) || !version_required(call, generation, &version, &text) ||
        !is_single_file(call, &version) || !text_validates(call, file_bytes(text)) ||
        !call_audit(call, "config.restore", call->params[0], NULL))
        return;
    struct text error = { 0 };
    if (control->replace_file(control->arg, file_bytes(text), &error))
        reply_reload(call, control->reload(control->arg, SLICE("restore"), call->actor.who));
    else
        reply_error(call->reply, 409, "not_written", "%s", error.bytes);
    text_fini(&error);
}
