/* tests/unit/config/test_load.c - what is written in a file stands in the model; what is not has its default. */
#include "config/load.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <stdlib.h>

#include "base/text.h"
#include "config/fixture.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static bool is_text(struct slice s, const char *expected)
{
    return slice_equal(s, slice_from_cstr(expected)) && s.ptr[s.len] == '\0';
}

static struct config *load_clean(struct loaded *f, const char *yaml)
{
    loaded_init(f);
    const char *problems = loaded_read(f, yaml);
    cr_assert_str_empty(problems, "%s", problems);
    return f->config;
}

Test(load, what_is_not_written_has_its_default)
{
    struct loaded f;
    const struct config *c = load_clean(&f, BASE_YAML "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n");
    cr_expect(is_text(c->state_dir, "/var/lib/weir"));
    cr_expect_eq(c->worker_count, 0);
    cr_expect_eq(c->drain_timeout_ms, 30000);
    cr_expect(c->is_watched);
    cr_expect_eq(c->log.access, ACCESS_STDOUT);
    cr_expect_eq(c->log.format, LOG_FORMAT_JSON);
    cr_expect_eq(c->log.level, LOG_INFO);
    cr_expect_eq(c->limits.headers_bytes, 32768);
    cr_expect_eq(c->limits.header_count, 128);
    cr_expect_eq(c->limits.request_line_bytes, 16384);
    cr_expect_eq(c->limits.header_timeout_ms, 10000);
    cr_expect_eq(c->limits.idle_timeout_ms, 75000);
    cr_expect_eq(c->limits.body_bytes, 0);
    cr_expect_not(c->admin.is_bound);
    cr_expect(c->admin.is_metrics_public);
    loaded_fini(&f);
}

Test(load, upstreams_and_routes_have_their_defaults)
{
    struct loaded f;
    const struct config *c = load_clean(&f, BASE_YAML "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n");
    const struct upstream_config *a = &c->upstreams[0];
    cr_expect_eq(a->balance, BALANCE_ROUND_ROBIN);
    cr_expect_eq(a->connect_timeout_ms, 1000);
    cr_expect_eq(a->idle_timeout_ms, 60000);
    cr_expect_eq(a->max_connections, 1024);
    cr_expect_eq(a->max_pending, 1024);
    cr_expect_eq(a->endpoints[0].weight, 1);
    const struct route_config *r = &c->routes[0];
    cr_expect_eq(r->action, ROUTE_FORWARD);
    cr_expect_eq(r->timeout_ms, 30000);
    cr_expect_eq(r->stream_idle_timeout_ms, 300000);
    cr_expect(r->is_websocket_allowed);
    cr_expect_not(r->is_variant_exposed);
    cr_expect_not(r->has_body_limit);
    cr_expect_eq(r->encoded_slash, ENCODED_SLASH_KEEP);
    cr_expect_eq(r->sticky.key.kind, KEY_NONE);
    cr_expect_eq(r->rate_limit.count, 0);
    cr_expect_eq(r->match.path_kind, PATH_ANY);
    cr_expect_null(r->match.when);
    loaded_fini(&f);
}

Test(load, values_of_the_process_are_kept)
{
    struct loaded f;
    const struct config *c =
        load_clean(&f, "user: www-data\nstate_dir: state\nworkers: 3\ndrain_timeout: 5m\nwatch: false\n"
                       "log: { access: logs/access.log, format: text, level: warn }\n"
                       "limits: { body: 1MiB, connections: 7, connections_per_source: 2, memory: 1GiB,\n"
                       "          max_connection_age: 1h, headers: 8KiB }\n" BASE_YAML
                       "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n");
    cr_expect(is_text(c->user, "www-data"));
    cr_expect(is_text(c->state_dir, "/etc/weir/state"), "%s", c->state_dir.ptr);
    cr_expect_eq(c->worker_count, 3);
    cr_expect_eq(c->drain_timeout_ms, 300000);
    cr_expect_not(c->is_watched);
    cr_expect_eq(c->log.access, ACCESS_FILE);
    cr_expect(is_text(c->log.access_text, "logs/access.log"));
    cr_expect(is_text(c->log.access_path, "/etc/weir/logs/access.log"));
    cr_expect_eq(c->log.format, LOG_FORMAT_TEXT);
    cr_expect_eq(c->log.level, LOG_WARN);
    cr_expect_eq(c->limits.body_bytes, 1 << 20);
    cr_expect_eq(c->limits.connections, 7);
    cr_expect_eq(c->limits.connections_per_source, 2);
    cr_expect_eq(c->limits.memory_bytes, 1 << 30);
    cr_expect_eq(c->limits.max_connection_age_ms, 3600000);
    cr_expect_eq(c->limits.headers_bytes, 8192);
    loaded_fini(&f);
}

Test(load, addresses_are_kept_as_written_and_as_meant)
{
    struct loaded f;
    const struct config *c = load_clean(
        &f,
        "admin: { bind: unix:adm.sock, metrics_public: false }\n"
        "listeners: { web: { bind: '[::1]:80', trusted_proxies: [ 10.0.0.0/8, '::1' ] }, tcp: { bind: 0.0.0.0:81 } }\n"
        "upstreams: { a: { endpoints: [ h:1, { address: unix:/x, weight: 3 } ], balance: random } }\n"
        "routes: [ { name: r, to: a } ]\n");
    cr_expect(c->admin.is_bound);
    cr_expect_eq(c->admin.bind.kind, ADDRESS_UNIX);
    cr_expect(is_text(c->admin.bind.name, "/etc/weir/adm.sock"));
    cr_expect(is_text(c->admin.bind_text, "unix:adm.sock"));
    cr_expect_not(c->admin.is_metrics_public);
    cr_expect_eq(c->listener_count, 2);
    cr_expect(is_text(c->listeners[0].name, "web"));
    cr_expect_eq(c->listeners[0].bind.port, 80);
    cr_expect_eq(c->listeners[0].trusted_proxy_count, 2);
    cr_expect_eq(c->listeners[0].bind_place.line, 2);
    cr_expect_eq(c->listeners[0].bind_place.column, 27);
    const struct upstream_config *a = &c->upstreams[0];
    cr_expect_eq(a->endpoint_count, 2);
    cr_expect_eq(a->endpoints[0].address.kind, ADDRESS_NAME);
    cr_expect(is_text(a->endpoints[0].address_text, "h:1"));
    cr_expect_eq(a->endpoints[1].weight, 3);
    cr_expect_eq(a->balance, BALANCE_RANDOM);
    loaded_fini(&f);
}

Test(load, a_route_is_kept_with_all_its_parts)
{
    struct loaded f;
    const struct config *c = load_clean(&f, BASE_YAML "routes:\n"
                                                      "- name: r\n"
                                                      "  match: { host: [ Shop.Example.com., '*.x.org' ], path: { "
                                                      "prefix: /p }, method: GET, when: { method, equals: GET } }\n"
                                                      "  rules: [ { name: one, when: { header: h, present: true }, to: "
                                                      "b, owner: me, kind: release, expires: 2027-03-01 } ]\n"
                                                      "  split: { a: 95, b: 5 }\n"
                                                      "  sticky: { cookie: id, ttl: 1d }\n"
                                                      "  rewrite: { path_prefix: /q, host: other:81 }\n"
                                                      "  request_headers: { set: { x-a: 1 }, remove: x-b }\n"
                                                      "  response_headers: { remove: [ server, x-c ] }\n"
                                                      "  rate_limit: { rate: 5/m, by: { source: ip } }\n"
                                                      "  limits: { body: 0 }\n"
                                                      "  timeout: 1s\n"
                                                      "  websocket: false\n"
                                                      "  encoded_slash: reject\n"
                                                      "  expose_variant: true\n");
    const struct route_config *r = &c->routes[0];
    cr_expect_eq(r->match.hosts.count, 2);
    cr_expect(is_text(r->match.hosts.items[0], "shop.example.com"), "%s", r->match.hosts.items[0].ptr);
    cr_expect(is_text(r->match.hosts.items[1], "*.x.org"));
    cr_expect_eq(r->match.path_kind, PATH_PREFIX);
    cr_expect(is_text(r->match.path, "/p"));
    cr_expect_eq(r->match.methods.count, 1);
    cr_expect_not_null(r->match.when);
    cr_expect_eq(r->rule_count, 1);
    cr_expect_eq(r->rules[0].upstream_index, 1);
    cr_expect_eq(r->rules[0].ownership.kind, RELEASE_RELEASE);
    cr_expect_eq(r->rules[0].ownership.expires.unix_ms, INT64_C(1803859200000));
    cr_expect_eq(r->sticky.key.kind, KEY_COOKIE);
    cr_expect(is_text(r->sticky.key.name, "id"));
    cr_expect_eq(r->sticky.ttl_ms, 86400000);
    cr_expect(is_text(r->rewrite.path_prefix, "/q"));
    cr_expect(is_text(r->rewrite.host, "other:81"));
    cr_expect_eq(r->request_headers.set_count, 1);
    cr_expect(is_text(r->request_headers.set[0].name, "x-a"));
    cr_expect(is_text(r->request_headers.set[0].value, "1"));
    cr_expect_eq(r->request_headers.remove.count, 1);
    cr_expect_eq(r->response_headers.remove.count, 2);
    cr_expect_eq(r->rate_limit.count, 5);
    cr_expect_eq(r->rate_limit.period_ms, 60000);
    cr_expect_eq(r->rate_limit.burst, 5);
    cr_expect_eq(r->rate_limit.by.kind, KEY_SOURCE_IP);
    cr_expect(r->has_body_limit);
    cr_expect_eq(r->timeout_ms, 1000);
    cr_expect_not(r->is_websocket_allowed);
    cr_expect_eq(r->encoded_slash, ENCODED_SLASH_REJECT);
    cr_expect(r->is_variant_exposed);
    cr_expect_eq(r->place.line, 4);
    cr_expect_eq(r->place.column, 3);
    loaded_fini(&f);
}

Test(load, a_record_is_a_file_name_or_a_map)
{
    struct loaded f;
    loaded_init(&f);
    cr_assert_str_eq(loaded_read(&f, BASE_YAML
                                 "routes:\n"
                                 "  - { name: x, match: { host: x }, to: a, shadow: [ { to: b, record: x.jsonl } ] }\n"
                                 "  - { name: y, match: { host: y }, to: a, shadow: [ { to: b, record: { file: /y, "
                                 "max_bytes: 1MiB, keep: 0, "
                                 "sample: 5% } } ] }\n"
                                 "  - { name: z, to: a, shadow: [ { to: b } ] }\n"),
                     "");
    const struct record_config *x = &f.config->routes[0].shadows[0].record, *y = &f.config->routes[1].shadows[0].record;
    cr_assert(slice_equal(x->file, SLICE("/etc/weir/x.jsonl")));
    cr_assert_eq(x->max_bytes, 64 << 20);
    cr_assert_eq(x->keep_count, 4);
    cr_assert_eq(x->sample_ppm, 1000000);
    cr_assert(slice_equal(y->file, SLICE("/y")));
    cr_assert_eq(y->max_bytes, 1 << 20);
    cr_assert_eq(y->keep_count, 0);
    cr_assert_eq(y->sample_ppm, 50000);
    cr_assert_eq(f.config->routes[2].shadows[0].record.file.len, 0);
    loaded_fini(&f);
}

Test(load, weights_are_reduced_and_indexes_resolved)
{
    struct loaded f;
    const struct config *c = load_clean(
        &f, BASE_YAML
        "routes: [ { name: r, match: { host: g }, split: { b: 950000, a: 50000 } }, { name: s, match: { host: h },"
        " split: { a: 0, b: 7 } } ]\n");
    const struct route_config *r = &c->routes[0];
    cr_expect_eq(r->split_count, 2);
    cr_expect(is_text(r->split[0].upstream, "b"));
    cr_expect_eq(r->split[0].weight, 19);
    cr_expect_eq(r->split[0].upstream_index, 1);
    cr_expect_eq(r->split[1].weight, 1);
    cr_expect_eq(r->split[1].upstream_index, 0);
    cr_expect_eq(c->routes[1].split[0].weight, 0);
    cr_expect_eq(c->routes[1].split[1].weight, 1);
    loaded_fini(&f);
}

Test(load, to_is_a_split_of_one_and_answers_have_none)
{
    struct loaded f;
    const struct config *c = load_clean(
        &f, BASE_YAML "routes:\n"
                      "- { name: t, match: { host: a }, to: b }\n"
                      "- { name: d, match: { host: b }, redirect: { to: 'https://x' } }\n"
                      "- { name: p, match: { host: c }, respond: { body: hi, headers: { content-type: x/y } } }\n"
                      "- { name: a, match: { host: d }, to: a }\n");
    cr_expect_eq(c->routes[0].split_count, 1);
    cr_expect_eq(c->routes[0].split[0].upstream_index, 1);
    cr_expect_eq(c->routes[0].split[0].weight, 1);
    cr_expect(is_text(c->routes[0].split[0].upstream, "b"));
    cr_expect_eq(c->routes[1].action, ROUTE_REDIRECT);
    cr_expect_eq(c->routes[1].redirect.code, 308);
    cr_expect_eq(c->routes[1].split_count, 0);
    cr_expect_eq(c->routes[2].action, ROUTE_RESPOND);
    cr_expect_eq(c->routes[2].respond.status, 200);
    cr_expect(is_text(c->routes[2].respond.body, "hi"));
    cr_expect_eq(c->routes[2].respond.headers.set_count, 1);
    loaded_fini(&f);
}

Test(load, digests_are_lower_case_and_masked_where_the_text_is_shown)
{
    struct loaded f;
    struct text shown;
    const struct config *c =
        load_clean(&f, "admin: { tokens: [ { name: ci, role: approver, sha256: " DIGEST " } ] } # " DIGEST
                       "\n" BASE_YAML "routes: [ { name: r, split: { a: 1, b: 1 } } ]");
    cr_expect_eq(c->admin.tokens[0].role, ROLE_APPROVER);
    cr_expect(slice_equal_nocase(c->admin.tokens[0].sha256_hex, SLICE(DIGEST)));
    cr_expect_eq(c->admin.tokens[0].sha256_hex.ptr[52], 'a');
    cr_expect(slice_contains(c->text, SLICE(DIGEST)));
    text_init(&shown);
    config_text_masked(c, &shown);
    cr_expect_not(slice_contains(text_slice(&shown), SLICE(DIGEST)));
    cr_expect(slice_has_prefix(text_slice(&shown), SLICE("# weir.yaml\nadmin: { tokens: [ { name: ci, role: approver, "
                                                         "sha256: ******** } ] } # ********\n")));
    text_fini(&shown);
    loaded_fini(&f);
}

Test(load, the_text_and_its_digest_tell_whether_anything_changed)
{
    struct loaded f, g, h;
    const char *yaml = BASE_YAML "routes: [ { name: r, split: { a: 1, b: 1 } } ]";
    const char *other = BASE_YAML "routes: [ { name: r, split: { a: 1, b: 2 } } ]";
    const struct config *c = load_clean(&f, yaml), *same = load_clean(&g, yaml), *changed = load_clean(&h, other);
    cr_expect_eq(c->text.len, strlen("# weir.yaml\n") + strlen(yaml) + 1);
    cr_expect_eq(c->digest.len, 16);
    cr_expect(slice_equal(c->digest, same->digest));
    cr_expect_not(slice_equal(c->digest, changed->digest));
    cr_expect_eq(c->file_count, 1);
    cr_expect(is_text(c->files[0].path, "/etc/weir/weir.yaml"));
    loaded_fini(&f);
    loaded_fini(&g);
    loaded_fini(&h);
}

Test(load, a_missing_file_is_named)
{
    struct loaded f;
    loaded_init(&f);
    f.config = config_load(&f.arena, "no.yaml", &f.source, &f.errors);
    cr_assert_null(f.config);
    cr_assert_eq(f.errors.error_count, 1);
    cr_expect_str_eq(err_format(&f.error_arena, f.errors.first).ptr,
                     "no.yaml: could not read the file: No such file or directory");
    loaded_fini(&f);
}

Test(load, the_system_reads_real_files_and_refuses_folders)
{
    struct loaded f;
    struct slice bytes;
    loaded_init(&f);
    cr_expect(config_source_system.read_file(NULL, TOP_SRCDIR "/conf/minimal.yaml", &f.arena, &bytes));
    cr_expect(slice_has_prefix(bytes, SLICE("# minimal.yaml")));
    cr_expect_eq(bytes.ptr[bytes.len], '\0');
    cr_expect_not(config_source_system.read_file(NULL, TOP_SRCDIR "/conf", &f.arena, &bytes));
    cr_expect_not(config_source_system.read_file(NULL, TOP_SRCDIR "/conf/none.yaml", &f.arena, &bytes));
    struct slice *found;
    cr_expect_geq(config_source_system.expand_glob(NULL, TOP_SRCDIR "/conf/*.yaml", &f.arena, &found), 5);
    cr_expect_eq(config_source_system.expand_glob(NULL, TOP_SRCDIR "/conf/*.none", &f.arena, &found), 0);
    cr_expect_gt(config_source_system.get_time(NULL).unix_ms, FIXTURE_NOW_UNIX_MS / 2);
    loaded_fini(&f);
}

static int is_yaml(const struct dirent *entry)
{
    return slice_has_suffix(slice_from_cstr(entry->d_name), SLICE(".yaml"));
}

Test(load, every_example_loads_without_a_word)
{
    struct dirent **entries;
    int count = scandir(TOP_SRCDIR "/conf", &entries, is_yaml, alphasort);
    cr_assert_geq(count, 5);
    for (int i = 0; i < count; i++) {
        struct loaded f;
        loaded_init(&f);
        const char *path = arena_printf(&f.arena, TOP_SRCDIR "/conf/%s", entries[i]->d_name).ptr;
        f.config = config_load(&f.arena, path, &config_source_system, &f.errors);
        cr_expect(f.config != NULL && f.errors.first == NULL, "%s", err_format(&f.error_arena, f.errors.first).ptr);
        loaded_fini(&f);
        free(entries[i]);
    }
    free(entries);
}

Test(load, ten_thousand_routes_load)
{
    struct loaded f;
    struct text yaml;
    text_init(&yaml);
    text_add_cstr(&yaml, BASE_YAML "routes:\n");
    for (unsigned i = 0; i < 10000; i++)
        text_printf(&yaml, "- { name: r%u, match: { host: h%u, path: { prefix: /p%u } }, split: { a: 95, b: 5 } }\n", i,
                    i % 1000, i / 1000);
    const struct config *c = load_clean(&f, yaml.bytes);
    cr_expect_eq(c->route_count, 10000);
    cr_expect(is_text(c->routes[9999].match.hosts.items[0], "h999"));
    text_fini(&yaml);
    loaded_fini(&f);
}
