/* server/access_log.c - which file the access log goes to, and when it is opened again.
 *
 * A reload that names the same file does not open it: that is USR1's, sent by who moved it away (logrotate). Lines are written
 * by a thread of their own (server/access_writer.h); main only says where to. */
#include "server/parts.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

static const char *access_path_of(const struct config *config)
{
    return config->log.access == ACCESS_FILE ? config->log.access_path.ptr : NULL;
}

/* NULL: standard output, or no log at all. */
static bool is_same_path(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool server_open_access_log(struct server *s, const struct config *config, struct err_list *errors)
{
    const char *path = access_path_of(config);
    struct place place = { .file = config->file.ptr };
    if (is_same_path(path, s->access_path))
        return true;
    if (!access_writer_open(s->access_writer, path)) {
        err_add(errors, place, "the access log '%s' could not be opened: %s", path, strerror(errno));
        return false;
    }
    memory_free(s->access_path);
    s->access_path = path != NULL ? memory_strdup(path) : NULL;
    return true;
}

void server_reopen_logs(struct server *s)
{
    recorder_reopen(s->recorder);
    if (access_writer_open(s->access_writer, s->access_path))
        log_info("log: reopened %s", s->access_path != NULL ? s->access_path : "standard output");
    else
        log_error("log: %s could not be reopened, the old file stays in use: %s", s->access_path, strerror(errno));
}
