/* cli/demo_proxy.c - the proxy of the demo: its temporary directory, its configuration and its process. */
#include "cli/demo.h"

#include "base/units.h"
#include "server/master.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* As the documentation writes them, so that its commands work as they stand; any other where these are taken. */
#define WISHED_PORT       8080
#define WISHED_ADMIN_PORT 9901
#define STOP_MAX_MS       5000 /* from TERM to KILL */
#define STOP_STEP_MS      20
#define LOG_SHOWN_BYTES   4096
#define CONFIG_MAX_BYTES  16384 /* of what the demo reads again */

static const struct place here = { .file = "demo" };

/* ---- ports -------------------------------------------------------------------------------------------------------------- */

/* Binds for a moment to learn whether the port is free, or, with 0, which one is. False with the holder in errors. Another program may
   take it before the child does: then that one ends with the holder's name in its log, which the demo shows. */
static bool probe_port(uint16_t wanted, uint16_t *port, struct err_list *errors)
{
    struct endpoint_address address = { .kind = ADDRESS_IP, .port = wanted };
    struct sockaddr_storage bound;
    struct ip_address ip;
    socklen_t length = sizeof(bound);
    CHECK(ip_parse(SLICE("127.0.0.1"), &address.ip));
    int fd = listener_open_socket(&address, false, 0, here, errors);
    if (fd < 0)
        return false;
    CHECK(getsockname(fd, (struct sockaddr *)&bound, &length) == 0);
    ip_from_sockaddr((struct sockaddr *)&bound, &ip, port);
    close(fd);
    return true;
}

/* The wished port when it is free, else any. */
static bool find_port(uint16_t wished, uint16_t *port, struct err_list *errors)
{
    struct arena scratch;
    struct err_list ignored;
    arena_init(&scratch, NULL, 0);
    err_list_init(&ignored, &scratch);
    bool is_free = probe_port(wished, port, &ignored);
    arena_reset(&scratch);
    return is_free || probe_port(0, port, errors);
}

/* ---- directory and configuration ------------------------------------------------------------------------------------------ */

/* Readable by this user alone: the admin socket in it gives all rights. */
static bool make_directory(struct demo_proxy *p, struct err_list *errors)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || strlen(parent) > sizeof(p->directory) - 20)
        parent = "/tmp";
    snprintf(p->directory, sizeof(p->directory), "%s/weir-demo-XXXXXX", parent);
    if (mkdtemp(p->directory) != NULL)
        return true;
    err_add(errors, here, "could not make a directory in %s: %s", parent, strerror(errno));
    p->directory[0] = '\0';
    return false;
}

/* The limits are those that one would give a real service. Only the holds are short, since somebody watches. */
void demo_proxy_print_rollout(FILE *file, int64_t hold_ms)
{
    char hold[24], long_hold[24];
    units_format_duration(hold_ms, hold, sizeof hold);
    units_format_duration(3 * hold_ms, long_hold, sizeof long_hold);
    fprintf(file,
            "rollouts:\n"
            "  demo:\n"
            "    route: demo\n"
            "    stable: stable\n"
            "    canary: canary\n"
            "    revision: \"2.0\"     # what is released; a new one may be started anew\n"
            "    steps:              # the canary's share; real releases take hours\n"
            "      - { weight: 10%%, hold: %s, min_requests: 10 }\n"
            "      - { weight: 30%%, hold: %s, min_requests: 200 }   # never by time alone\n"
            "      - { weight: 60%%, hold: %s }\n"
            "      - { weight: 100%% }\n"
            "    bake: %s            # the guardrails stay on after 100 %%\n"
            "    guardrails:\n"
            "      # Errors more than 1.5 times as likely as on stable at the same time: no\n"
            "      # threshold that somebody has to know. A breach is evidence of 100 to 1,\n"
            "      # so one false alarm in 100 releases at most, however often one looks.\n"
            "      - { metric: error_rate, worse_than_stable: { ratio: 1.5 },\n"
            "          confidence: 99%% }\n"
            "      # And whatever stable does: at most three in ten.\n"
            "      - { metric: error_rate, max: 30%%, window: 10s }\n"
            "    owner: demo\n",
            hold, long_hold, hold, hold);
}

static void print_config(FILE *file, const struct demo_proxy *p, const struct demo_origin *origins, int64_t hold_ms)
{
    fprintf(file,
            "# Written by `weir demo`. Change it while the demo runs: the file is watched.\n"
            "state_dir: %s\n"
            "workers: 1\n"
            "drain_timeout: 2s\n"
            "log: { access: access.log }\n"
            "admin: { bind: 127.0.0.1:%u }\n\n"
            "listeners:\n"
            "  web: { bind: 127.0.0.1:%u }\n\n"
            "upstreams:\n",
            p->directory, p->admin_port, p->port);
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++)
        fprintf(file, "  %s: { endpoints: [ 127.0.0.1:%u ] }\n", demo_upstream_names[i], origins[i].port);
    fprintf(file,
            "\nroutes:\n"
            "  - name: demo\n"
            "    rules:   # asked for by name, before the split\n"
            "      - { name: dark-launch, when: { header: x-dark-launch, equals: \"on\" }, to: dark,\n"
            "          owner: demo }\n"
            "    split: { %s }\n"
            "    expose_variant: true\n"
            "    owner: demo\n",
            hold_ms > 0 ? "stable: 100, canary: 0" : "stable: 90, canary: 10");
    if (hold_ms > 0) {
        fputc('\n', file);
        demo_proxy_print_rollout(file, hold_ms);
    }
}

static bool write_config(const struct demo_proxy *p, const struct demo_origin *origins, int64_t hold_ms,
                         struct err_list *errors)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/weir.yaml", p->directory);
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        print_config(file, p, origins, hold_ms);
        bool is_whole = !ferror(file);
        if (fclose(file) == 0 && is_whole)
            return true;
    }
    err_add(errors, here, "could not write %s: %s", path, strerror(errno));
    return false;
}

bool demo_proxy_prepare(struct demo_proxy *p, uint16_t wanted_port, int64_t hold_ms,
                        const struct demo_origin origins[DEMO_UPSTREAM_COUNT], struct err_list *errors)
{
    bool has_port =
        wanted_port != 0 ? probe_port(wanted_port, &p->port, errors) : find_port(WISHED_PORT, &p->port, errors);
    return has_port && find_port(WISHED_ADMIN_PORT, &p->admin_port, errors) && make_directory(p, errors) &&
           write_config(p, origins, hold_ms, errors);
}

/* In place: two revisions have the same length, so that nothing moves, and who reads meanwhile finds either. */
bool demo_proxy_set_revision(const struct demo_proxy *p, const char *old, const char *new)
{
    char path[96], bytes[CONFIG_MAX_BYTES], wanted[40];
    CHECK(strlen(old) == strlen(new));
    snprintf(path, sizeof(path), "%s/weir.yaml", p->directory);
    int wanted_length = snprintf(wanted, sizeof(wanted), "revision: \"%s\"", old);
    FILE *file = fopen(path, "r+e");
    if (file == NULL)
        return false;
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    const char *found = memmem(bytes, length, wanted, (size_t)wanted_length);
    bool is_done = found != NULL &&
                   fseek(file, found - bytes + (wanted_length - 1 - (long)strlen(old)), SEEK_SET) == 0 &&
                   fputs(new, file) >= 0;
    return fclose(file) == 0 && is_done;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* Depth first, and links are removed and not followed (FTW_PHYS): nothing outside of the directory can be meant. */
void demo_proxy_remove(struct demo_proxy *p)
{
    if (p->directory[0] != '\0')
        nftw(p->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    p->directory[0] = '\0';
}

/* ---- the process ---------------------------------------------------------------------------------------------------------- */

/* The kernel ends the child when the demo is killed; asking for that races with the end itself, hence the look at the parent. */
static _Noreturn void run_child(const struct demo_proxy *p, const struct demo_origin *origins, pid_t parent)
{
    char config[96], log[96];
    snprintf(config, sizeof(config), "%s/weir.yaml", p->directory);
    snprintf(log, sizeof(log), "%s/weir.log", p->directory);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && (dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0))
        _exit(1);
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++)
        close(origins[i].fd);
    struct server_options options = { .config_file = config };
    exit(server_run(&options));
}

/* stdout is flushed first, or the child would print once more what waits in the buffer. */
bool demo_proxy_start(struct demo_proxy *p, const struct demo_origin origins[DEMO_UPSTREAM_COUNT])
{
    pid_t parent = getpid();
    fflush(stdout);
    p->pid = fork();
    if (p->pid == 0)
        run_child(p, origins, parent);
    return p->pid > 0;
}

/* Polls, because the loop that would hear of SIGCHLD does not run any more. A drain takes at most the two seconds of the file written above. */
void demo_proxy_stop(struct demo_proxy *p)
{
    if (p->pid <= 0)
        return;
    kill(p->pid, SIGTERM);
    for (int waited_ms = 0; waitpid(p->pid, NULL, WNOHANG) == 0; waited_ms += STOP_STEP_MS) {
        if (waited_ms >= STOP_MAX_MS)
            kill(p->pid, SIGKILL);
        usleep(STOP_STEP_MS * 1000);
    }
    p->pid = 0;
}

void demo_proxy_print_log(const struct demo_proxy *p)
{
    char path[96], bytes[LOG_SHOWN_BYTES];
    snprintf(path, sizeof(path), "%s/weir.log", p->directory);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    fwrite(bytes, 1, fread(bytes, 1, sizeof(bytes), file), stderr);
    fclose(file);
}
