/* tests/unit/lua/test_module.c - modules beside a script, those of the binary, and files that a script reads. */
#include "lua/module.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/script_set.h"

#define HOOK " return { on_request = function() end }"

/* A folder made up by a test. */
struct folder {
    const char *names[5], *texts[5]; /* "/d/x.lua" is the script; "/d/y.lua", in second place, another */
};

static struct arena arena;
static struct err_list errors;

static void begin(void)
{
    arena_init(&arena, NULL, 0);
}

static void end(void)
{
    arena_reset(&arena);
}

TestSuite(module, .init = begin, .fini = end);

static bool read_file(void *arg, const char *path, struct arena *to, struct slice *out)
{
    const struct folder *folder = arg;
    for (size_t i = 0; i < ARRAY_COUNT(folder->names); i++)
        if (folder->names[i] != NULL && strcmp(path, folder->names[i]) == 0) {
            *out = arena_copy(to, slice_from_cstr(folder->texts[i]));
            return true;
        }
    errno = ENOENT;
    return false;
}

static const char *get_env(void *arg, const char *name)
{
    const struct folder *folder = arg;
    (void)name;
    return folder->names[1] != NULL && strcmp(folder->names[1], "/d/y.lua") == 0 ? "y.lua" : "x.lua";
}

static struct config *load_from(const char *directory, struct folder *folder)
{
    static const char yaml[] = "listeners: { web: { bind: 127.0.0.1:8080 } }\n"
                               "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] } }\n"
                               "routes: [ { name: s, match: { path: { exact: /s } }, script: x.lua, to: a },\n"
                               "          { name: t, script: \"${SECOND}\", to: a } ]\n";
    struct config_source source = { .get_env = get_env,
                                    .read_file = read_file,
                                    .compile_scripts = script_set_compile,
                                    .directory = directory,
                                    .arg = folder };
    err_list_init(&errors, &arena);
    return config_load_bytes(&arena, "weir.yaml", SLICE(yaml), &source, &errors);
}

static struct config *load(struct folder *folder)
{
    return load_from("/d", folder);
}

static const char *problems(void)
{
    static char all[2048];
    all[0] = '\0';
    for (const struct err *e = errors.first; e != NULL; e = e->next)
        if (e->severity == ERR_ERROR)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s\n", err_format(&arena, e).ptr);
    return all;
}

/* The script, and one file beside it. */
static void expect(const char *script, const char *name, const char *text, const char *wanted)
{
    struct folder folder = { { "/d/x.lua", name }, { script, text } };
    const struct config *config = load(&folder);
    cr_assert_eq(config != NULL, *wanted == '\0', "%s: %s", script, problems());
    cr_assert_str_eq(problems(), wanted, "%s: %s", script, problems());
}

Test(module, it_is_found_beside_the_script)
{
    expect("local m = require('m') assert(m.x == 7)" HOOK, "/d/m.lua", "return { x = 7 }", "");
    expect("local m = require 'sub.m-1' assert(m == 'sub.m-1')" HOOK, "/d/sub/m-1.lua", "return ...", "");
    expect("assert(require('m') == require('m'))" HOOK, "/d/m.lua", "return {}", "");
    expect("assert(require('m') == false and require('m') == false)" HOOK, "/d/m.lua", "return false", "");
    expect("local n = 'm' assert(require(n) == 1)" HOOK, "/d/m.lua", "return 1", "");
    expect("assert(pcall(require, 'none') == false)" HOOK, NULL, NULL, "");
}

Test(module, modules_have_modules)
{
    struct folder folder = { { "/d/x.lua", "/d/a.lua", "/d/sub/b.lua", "/d/sub/c.lua" },
                             { "assert(require('a').c == 'c')" HOOK, "return { c = require('sub.b').c }",
                               "return { c = require('sub.c') }", "return 'c'" } };
    const struct config *config = load(&folder);
    cr_assert_not_null(config, "%s", problems());
    size_t count = 0;
    for (const struct module *m = config->scripts->modules.modules; m != NULL; m = m->next, count++)
        cr_assert_gt(m->code.len, 0);
    cr_assert_eq(count, 3);
}

/* What a hook requires is there before the first request. */
Test(module, a_name_in_a_hook_is_loaded_with_the_file)
{
    struct folder folder = { { "/d/x.lua", "/d/m.lua", "/d/n.lua" },
                             { "return { on_request = function() return require('m').f() end }",
                               "return { f = function() return require('n') end }",
                               "return { f = function() return require('m') end }" } };
    const struct config *config = load(&folder);
    cr_assert_not_null(config, "%s", problems());
    cr_assert_not_null(config->scripts->modules.modules->next);
}

Test(module, whom_a_module_asks_its_script_asks)
{
    struct folder folder = { { "/d/x.lua", "/d/m.lua" },
                             { "return { on_request = function() return require('m')() end }",
                               "return function() return weir.fetch('a', {}) and nil end" } };
    const struct config *config = load(&folder);
    cr_assert_not_null(config, "%s", problems());
    cr_assert(slice_equal(config->scripts->scripts[0].asks, SLICE("a")));
}

Test(module, what_is_missing_is_told_where_it_is_required)
{
    expect("\nlocal m = require('m')" HOOK, NULL, NULL,
           "/d/x.lua:2: there is no module 'm': could not read '/d/m.lua': No such file or directory\n");
    expect("return { on_request = function()\n\n return require('a.b') end }", NULL, NULL,
           "/d/x.lua:3: there is no module 'a.b': could not read '/d/a/b.lua': No such file or directory\n");
    expect("require('m')" HOOK, "/d/m.lua", "\nreturn require('n')",
           "/d/m.lua:2: there is no module 'n': could not read '/d/n.lua': No such file or directory\n");
    expect("require('weir.none')" HOOK, "/d/weir/none.lua", "return 1", "/d/x.lua:1: there is no module 'weir.none'\n");
    expect("require('os')" HOOK, NULL, NULL,
           "/d/x.lua:1: there is no module 'os': could not read '/d/os.lua': No such file or directory\n");
}

Test(module, what_is_wrong_in_a_module_is_told_there)
{
    expect("require('m')" HOOK, "/d/m.lua", "\nreturn {", "/d/m.lua:2: unexpected symbol near <eof>\n");
    expect("require('s.m')" HOOK, "/d/s/m.lua", "\nreturn foo", "/d/s/m.lua:2:8: unknown global 'foo'\n");
    expect("require('m')" HOOK, "/d/m.lua", "\n\nerror('no')", "/d/m.lua:3: no\n");
    expect("\nrequire('m')" HOOK, "/d/m.lua", "local x", "/d/x.lua:2: the module 'm' returns nothing\n");
    expect("\nrequire('m')" HOOK, "/d/m.lua", "while true do end", "/d/m.lua:1: the call used up its time\n");
    expect("require('m')" HOOK, "/d/m.lua", "\x1bLua", "/d/x.lua:1: attempt to load a binary chunk (mode is 't')\n");
}

Test(module, circles_end)
{
    expect("require('m')" HOOK, "/d/m.lua", "return require('m')",
           "/d/m.lua:1: the module 'm' requires itself, or could not be loaded before\n");
    struct folder folder = { { "/d/x.lua", "/d/a.lua", "/d/b.lua" },
                             { "require('a')" HOOK, "\nreturn require('b')", "\n\nreturn require('a')" } };
    cr_assert_null(load(&folder));
    cr_assert_str_eq(problems(), "/d/b.lua:3: the module 'a' requires itself, or could not be loaded before\n");
}

Test(module, names_lead_nowhere_else)
{
    static const char *const names[] = {
        "", ".", "a.", ".a", "a..b", "../x", "a/b", "/etc/passwd", "a b", "..", "a\\0b"
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char script[256];
        snprintf(script, sizeof script, "require('%s')" HOOK, names[i]);
        struct folder folder = { { "/d/x.lua" }, { script } };
        cr_assert_null(load(&folder), "%s", names[i]);
        cr_assert_not_null(strstr(problems(), "is no name of a module"), "%s: %s", names[i], problems());
    }
}

Test(module, two_scripts_have_a_module_each_to_itself)
{
    struct folder folder = { { "/d/x.lua", "/d/y.lua", "/d/m.lua" },
                             { "local m = require('m') assert(m.n == 0) m.n = 1 string.rep = nil" HOOK,
                               "local m = require('m') assert(m.n == 0 and m.rep('x', 2) == 'xx')" HOOK,
                               "return { n = 0, rep = string.rep }" } };
    const struct config *config = load(&folder);
    cr_assert_not_null(config, "%s", problems());
    cr_assert_eq(config->scripts->count, 2);
    cr_assert_null(config->scripts->modules.modules->next, "compiled once");
}

Test(module, a_broken_module_of_two_scripts_is_told_once)
{
    struct folder folder = { { "/d/x.lua", "/d/y.lua", "/d/m.lua" },
                             { "require('m')" HOOK, "\nrequire('m')" HOOK, "return foo" } };
    cr_assert_null(load(&folder));
    cr_assert_str_eq(problems(),
                     "/d/m.lua:1:8: unknown global 'foo'\n/d/y.lua:2: the module 'm' could not be compiled\n");
}

Test(module, a_changed_module_is_another_configuration)
{
    struct folder a = { { "/d/x.lua", "/d/m.lua" }, { "require('m')" HOOK, "return 1" } };
    struct folder b = { { "/d/x.lua", "/d/m.lua" }, { "require('m')" HOOK, "return 2" } };
    cr_assert_not(slice_equal(load(&a)->digest, load(&b)->digest));
    cr_assert(slice_equal(load(&a)->digest, load(&a)->digest));
}

/* ---- weir.file ---------------------------------------------------------------------------------------------------------- */

Test(module, a_file_beside_the_script_is_read)
{
    expect("assert(weir.file('keys/a.pem') == 'text')" HOOK, "/d/keys/a.pem", "text", "");
    expect("assert(weir.file('a') == '' and weir.file('a') == '')" HOOK, "/d/a", "", "");
    expect("require('m')" HOOK, "/d/m.lua", "return weir.file('m.lua')", "");
    expect("\nweir.file('none')" HOOK, NULL, NULL, "/d/x.lua:2: could not read '/d/none': No such file or directory\n");
}

Test(module, paths_lead_nowhere_else)
{
    static const char *const paths[] = { "", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "./a", "a/", "a\\0b" };
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        char script[256];
        snprintf(script, sizeof script, "weir.file('%s')" HOOK, paths[i]);
        struct folder folder = { { "/d/x.lua" }, { script } };
        cr_assert_null(load(&folder), "%s", paths[i]);
        cr_assert_not_null(strstr(problems(), "is no path of a file beside the script"), "%s: %s", paths[i],
                           problems());
    }
}

Test(module, a_file_has_a_limit_and_is_part_of_the_configuration)
{
    char *text = arena_zalloc(&arena, SCRIPT_FILE_MAX_BYTES + 2);
    memset(text, 'x', SCRIPT_FILE_MAX_BYTES);
    struct folder folder = { { "/d/x.lua", "/d/a" }, { "weir.file('a')" HOOK, text } };
    const struct config *first = load(&folder);
    cr_assert_not_null(first, "%s", problems());
    text[0] = 'y';
    const struct config *second = load(&folder);
    cr_assert_not(slice_equal(first->digest, second->digest));
    text[SCRIPT_FILE_MAX_BYTES] = 'x';
    cr_assert_null(load(&folder));
    cr_assert_not_null(strstr(problems(), "'/d/a' is longer than 65536 bytes"), "%s", problems());
}

/* Opening a pipe would wait for who writes into it. */
Test(module, only_regular_files_are_read)
{
    static const char *const scripts[] = { "weir.file('m.lua')" HOOK, "require('m')" HOOK };
    char directory[] = "/tmp/weir-module-XXXXXX", script[64], pipe[64];
    cr_assert_not_null(mkdtemp(directory));
    snprintf(script, sizeof script, "%s/x.lua", directory);
    snprintf(pipe, sizeof pipe, "%s/m.lua", directory);
    cr_assert_eq(mkfifo(pipe, 0600), 0);
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
        struct folder folder = { { script, pipe }, { scripts[i], "" } };
        cr_assert_null(load_from(directory, &folder));
        cr_assert_not_null(strstr(problems(), "m.lua' is not a regular file"), "%s", problems());
    }
    unlink(pipe);
    rmdir(directory);
}

/* ---- modules of the binary ----------------------------------------------------------------------------------------------- */

Test(module, weir_semver_knows_the_order_of_versions)
{
    expect("local s = require('weir.semver') "
           "local order = { '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta', '1.0.0-beta.2', "
           "'1.0.0-beta.11', "
           "'1.0.0-rc.1', '1.0.0', '1.0.1', '1.1', '1.10.0', '2', '99999999999999999999.0.0' } "
           "for i = 1, #order do for j = 1, #order do "
           "  local wanted = i < j and -1 or i > j and 1 or 0 "
           "  assert(s.compare(order[i], order[j]) == wanted, order[i] .. ' ' .. order[j]) end end "
           "assert(s.compare('v1.2.3+a', '1.2.3+b') == 0 and s.compare('1.0-x+y', '1.0.0-x') == 0) "
           "assert(s.compare('01', '1.0') == 0) "
           "for _, text in ipairs { '', 'x', '1.', '.1', '1..2', '1.2.3.4', '1.2.3-', '1.2-a..b', '1 2', "
           "('1'):rep(129), '1+', '1-a+' } do "
           "  assert(s.parse(text) == nil, text) assert(s.compare(text, '1') == nil) end "
           "assert(s.at_least('3.1', '3.1.0') and not s.at_least('3.0.9', '3.1') and not s.at_least(nil, '1')) "
           "assert(s.parse('3.1.0-b.2').pre[2] == '2')" HOOK,
           NULL, NULL, "");
}

Test(module, weir_ua_tells_devices_and_bots)
{
    expect("local ua = require('weir.ua') "
           "assert(ua.device('Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148') == 'phone') "
           "assert(ua.device('Mozilla/5.0 (Linux; Android 10; K) Chrome/126.0.0.0 Mobile Safari/537.36') == 'phone') "
           "assert(ua.device('Mozilla/5.0 (Linux; Android 13; SM-X906C) Chrome/126.0.0.0 Safari/537.36') == 'tablet') "
           "assert(ua.device('Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) Mobile/15E148') == 'tablet') "
           "assert(ua.device('Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0)') == 'tv') "
           "assert(ua.device('Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0)') == 'desktop') "
           "assert(ua.device('curl/7.88.1') == 'other' and ua.device(nil) == 'other') "
           "assert(ua.device(('x'):rep(512) .. 'iPhone') == 'other') "
           "assert(ua.is_bot('Mozilla/5.0 (compatible; Googlebot/2.1)') and ua.is_bot('curl/8') and ua.is_bot(nil)) "
           "assert(not ua.is_bot('Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0'))" HOOK,
           NULL, NULL, "");
}

Test(module, weir_list_looks_into_lists)
{
    expect(
        "local list = require('weir.list') "
        "assert(list.contains({ 'a', 'b' }, 'b') and not list.contains({ 'a' }, 'b') and not list.contains({}, nil)) "
        "local set = list.set { 'a', 'b' } assert(set.a and set.b and not set.c) "
        "assert(table.concat(list.split(' a, b c ,,d '), '|') == 'a|b c|d' and #list.split('') == 0) "
        "assert(table.concat(list.split('a;b', ';'), '|') == 'a|b' and #list.split('a,b,c', ',', 2) == 2)" HOOK,
        NULL, NULL, "");
}
