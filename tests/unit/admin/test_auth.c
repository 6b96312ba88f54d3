/* tests/unit/admin/test_auth.c - bearer tokens: who is known, as what, and who is not. */
#include "admin/auth.h"

#include <criterion/criterion.h>

/* SHA-256 of "secret-one" and "secret-two". */
static struct token_config tokens[] = {
    { .name = SLICE("ci"),
      .role = ROLE_OPERATOR,
      .sha256_hex = SLICE("ea77193cc4e6f18656f3130e296203880c4b9b3772afc855211b82fdd46e9185") },
    { .name = SLICE("boss"),
      .role = ROLE_ADMIN,
      .sha256_hex = SLICE("cebdf378f2d2bd60d3e3693349e8f20f329daf11a276f849996f0a6377e2155b") },
};

static enum auth_verdict identify(size_t token_count, const char *authorization, struct actor *actor)
{
    struct arena arena;
    struct message m;
    struct admin_config config = { .tokens = tokens, .token_count = token_count };
    arena_init(&arena, NULL, 0);
    message_init(&m, &arena, 2);
    if (authorization != NULL)
        message_add(&m, &arena, field_id_from_name(SLICE("Authorization")), SLICE("Authorization"),
                    slice_from_cstr(authorization));
    enum auth_verdict verdict = auth_tcp_request(&config, &m, actor);
    arena_reset(&arena);
    return verdict;
}

Test(auth, without_tokens_everybody_looks_and_nobody_touches)
{
    struct actor actor;
    cr_assert_eq(identify(0, NULL, &actor), AUTH_KNOWN);
    cr_assert(slice_equal(actor.who, SLICE("anonymous")));
    cr_assert(auth_allows(&actor, ROLE_VIEWER));
    cr_assert_not(auth_allows(&actor, ROLE_OPERATOR));
    cr_assert_eq(identify(0, "Bearer secret-one", &actor), AUTH_KNOWN);
    cr_assert_eq(actor.role, ROLE_VIEWER);
}

Test(auth, a_token_is_its_name_and_role)
{
    struct actor actor;
    cr_assert_eq(identify(2, "Bearer secret-one", &actor), AUTH_KNOWN);
    cr_assert(slice_equal(actor.who, SLICE("ci")) && actor.role == ROLE_OPERATOR);
    cr_assert_eq(identify(2, "bearer   secret-two ", &actor), AUTH_KNOWN);
    cr_assert(slice_equal(actor.who, SLICE("boss")) && actor.role == ROLE_ADMIN);
}

Test(auth, strangers_are_told_apart_from_those_without_a_token)
{
    struct actor actor;
    cr_assert_eq(identify(2, NULL, &actor), AUTH_ABSENT);
    cr_assert_eq(identify(2, "Bearer secret-three", &actor), AUTH_BAD_TOKEN);
    cr_assert_eq(identify(1, "Bearer secret-two", &actor), AUTH_BAD_TOKEN);
    cr_assert_eq(identify(2, "Bearer ", &actor), AUTH_BAD_TOKEN);
    cr_assert_eq(identify(2, "Basic secret-one", &actor), AUTH_BAD_TOKEN);
    cr_assert_eq(identify(2, "secret-one", &actor), AUTH_BAD_TOKEN);
    cr_assert_eq(identify(2, "", &actor), AUTH_BAD_TOKEN);
    /* The digest itself opens nothing. */
    cr_assert_eq(identify(2, "Bearer ea77193cc4e6f18656f3130e296203880c4b9b3772afc855211b82fdd46e9185", &actor),
                 AUTH_BAD_TOKEN);
}

Test(auth, roles_contain_those_below)
{
    for (int has = ROLE_VIEWER; has <= ROLE_ADMIN; has++)
        for (int needs = ROLE_VIEWER; needs <= ROLE_ADMIN; needs++) {
            struct actor actor = { SLICE("x"), (enum role)has };
            cr_assert_eq(auth_allows(&actor, (enum role)needs), has >= needs);
        }
}

static bool is_local(const char *host)
{
    struct message m = { .authority = slice_from_cstr(host) };
    return auth_host_is_local(&m);
}

Test(auth, only_addresses_and_localhost_are_local_names)
{
    cr_assert(is_local("localhost") && is_local("LOCALHOST:9901") && is_local("localhost."));
    cr_assert(is_local("127.0.0.1") && is_local("127.0.0.1:80") && is_local("[::1]") && is_local("[::1]:9901"));
    cr_assert_not(is_local("example.com") || is_local("localhost.example.com") || is_local("127.0.0.1.example.com"));
    cr_assert_not(is_local("") || is_local("[]") || is_local("xn--127"));
}
