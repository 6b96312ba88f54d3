/* cli/version.c - `weir version`: version, build options, library versions. */
#include "config.h"

#include "cli/command.h"

#include <stdio.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct {
    const char *name, *version; /* as found when weir was built */
} libraries[] = {
    { "libevent", BUILT_WITH_EVENT }, { "libyaml", BUILT_WITH_YAML },    { "PCRE2", BUILT_WITH_PCRE2 },
    { "SQLite", BUILT_WITH_SQLITE },  { "jansson", BUILT_WITH_JANSSON }, { "libcurl", BUILT_WITH_CURL },
    { "OpenSSL", BUILT_WITH_CRYPTO }, { "nghttp2", BUILT_WITH_NGHTTP2 },
};

static enum command_status run(struct call *call)
{
    (void)call;
    printf("weir %s\n", PACKAGE_VERSION);
    printf("  %-10s %s\n", "compiler", COMPILER);
    printf("  %-10s sanitizers %s, _FORTIFY_SOURCE %s, link-time optimisation %s\n", "build", BUILD_SANITIZERS,
           BUILD_FORTIFY, BUILD_LTO);
    for (size_t i = 0; i < ARRAY_COUNT(libraries); i++)
        printf("  %-10s %s\n", libraries[i].name, libraries[i].version);
    return COMMAND_OK;
}

const struct command command_version = {
    .name = "version",
    .synopsis = "",
    .summary = "prints version, build options and library versions",
    .run = run,
};
