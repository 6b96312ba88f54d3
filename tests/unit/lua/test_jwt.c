/* tests/unit/lua/test_jwt.c - tokens that are good, and every way of not being so; as a hook sees it. */
#include "lua/jwt.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "crypto/base64.h"
#include "crypto/rfc7515.h"
#include "lua/fixture.h"

#define SECRET "a secret of thirty-two bytes or more"
#define NOW    1300819000.0 /* before the examples expire */

static struct arena arena;

static void open(void)
{
    arena_init(&arena, NULL, 0);
}

static void close(void)
{
    arena_reset(&arena);
}

TestSuite(jwt, .init = open, .fini = close);

static const char *base64url(struct slice bytes)
{
    struct text out = { 0 };
    base64_add(&out, bytes);
    for (char *c = out.bytes; c != NULL && *c != '\0'; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
    const char *copy = arena_printf(&arena, "%s", out.bytes != NULL ? out.bytes : "").ptr;
    text_fini(&out);
    return copy;
}

/* Signed with SECRET. */
static const char *token(const char *header, const char *payload)
{
    unsigned char code[32];
    unsigned length = sizeof code;
    struct slice text =
        arena_printf(&arena, "%s.%s", base64url(slice_from_cstr(header)), base64url(slice_from_cstr(payload)));
    HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (const unsigned char *)text.ptr, text.len, code, &length);
    return arena_printf(&arena, "%s.%s", text.ptr, base64url(slice_from((const char *)code, length))).ptr;
}

static void expect(const struct jwt_wanted *wanted, const char *text, const char *fault)
{
    struct json *claims;
    const char *got = jwt_verify(wanted, slice_from_cstr(text), &claims);
    if (fault == NULL) {
        cr_assert_null(got, "%s: %s", text, got);
        cr_assert_eq(json_kind(claims), JSON_KIND_OBJECT);
        json_destroy(claims);
    } else {
        cr_assert_str_eq(got != NULL ? got : "good", fault, "%s", text);
        cr_assert_null(claims);
    }
}

static const struct jwt_wanted hs256 = { .algorithm = JWT_HS256,
                                         .secret = { SECRET, sizeof(SECRET) - 1 },
                                         .now_s = 1000 };

static void expect_header(const char *header, const char *fault)
{
    expect(&hs256, token(header, "{}"), fault);
}

static void expect_payload(const char *payload, const char *fault)
{
    expect(&hs256, token("{\"alg\":\"HS256\"}", payload), fault);
}

Test(jwt, the_examples_of_the_rfc)
{
    struct jwt_wanted wanted = { .algorithm = JWT_HS256, .now_s = NOW };
    cr_assert(base64url_read(&arena, SLICE(RFC7515_HS256_SECRET), &wanted.secret));
    expect(&wanted, RFC7515_TOKEN(HS256), NULL);
    struct public_key *rsa = public_key_read(SLICE(RFC7515_RS256_KEY), PUBLIC_KEY_RSA);
    struct public_key *p256 = public_key_read(SLICE(RFC7515_ES256_KEY), PUBLIC_KEY_P256);
    struct jwt_wanted rs256 = { .algorithm = JWT_RS256, .key = rsa, .now_s = NOW };
    struct jwt_wanted es256 = { .algorithm = JWT_ES256, .key = p256, .now_s = NOW };
    expect(&rs256, RFC7515_TOKEN(RS256), NULL);
    expect(&es256, RFC7515_TOKEN(ES256), NULL);
    expect(&rs256, RFC7515_TOKEN(HS256), "wrong_algorithm");
    expect(&es256, RFC7515_TOKEN(RS256), "wrong_algorithm");
    expect(&rs256, RFC7515_RS256_HEADER "." RFC7515_PAYLOAD "." RFC7515_ES256_SIGNATURE, "bad_signature");
    rs256.now_s = 1300819380;
    expect(&rs256, RFC7515_TOKEN(RS256), "expired");
    public_key_destroy(rsa);
    public_key_destroy(p256);
}

Test(jwt, the_header_chooses_nothing)
{
    expect_header("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"x\"}", NULL);
    expect_header("{\"alg\":\"none\"}", "wrong_algorithm");
    expect_header("{\"alg\":\"hs256\"}", "wrong_algorithm");
    expect_header("{\"alg\":\"RS256\"}", "wrong_algorithm");
    expect_header("{\"alg\":7}", "malformed");
    expect_header("{}", "malformed");
    expect_header("[]", "malformed");
    expect_header("{\"alg\":\"HS256\",\"alg\":\"none\"}", "malformed");
    expect_header("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "unsupported");
    const char *none =
        arena_printf(&arena, "%s.%s.", base64url(SLICE("{\"alg\":\"none\"}")), base64url(SLICE("{}"))).ptr;
    expect(&hs256, none, "wrong_algorithm");
    const char *unsigned_token =
        arena_printf(&arena, "%s.%s.", base64url(SLICE("{\"alg\":\"HS256\"}")), base64url(SLICE("{}"))).ptr;
    expect(&hs256, unsigned_token, "bad_signature");
}

Test(jwt, texts_that_are_no_tokens)
{
    static const char *const texts[] = { "",      ".",       "..",           "...",          "a.b",
                                         "a.b.c", "a.b.c.d", "e30.e30.e30=", "e30 .e30.e30", "e30..e30" };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        expect(&hs256, texts[i], "malformed");
    char *longer = arena_zalloc(&arena, JWT_MAX_BYTES + 2);
    memset(longer, 'x', JWT_MAX_BYTES + 1);
    expect(&hs256, longer, "too_long");
    const char *good = token("{\"alg\":\"HS256\"}", "{}");
    expect(&hs256, arena_printf(&arena, "%s.x", good).ptr, "malformed");
    for (size_t i = 0; i < strlen(good); i++) {
        char *changed = arena_zalloc(&arena, strlen(good) + 1);
        memcpy(changed, good, strlen(good));
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        struct json *claims;
        cr_assert_not_null(jwt_verify(&hs256, slice_from_cstr(changed), &claims), "byte %zu", i);
    }
}

Test(jwt, the_payload_is_an_object)
{
    expect_payload("{}", NULL);
    expect_payload("[]", "malformed");
    expect_payload("\"x\"", "malformed");
    expect_payload("{", "malformed");
    expect_payload("{\"sub\":\"a\",\"sub\":\"b\"}", "malformed");
}

Test(jwt, claims_of_time)
{
    expect_payload("{\"exp\":1001}", NULL);
    expect_payload("{\"exp\":1000}", "expired");
    expect_payload("{\"exp\":1000.5}", NULL);
    expect_payload("{\"exp\":\"1001\"}", "malformed");
    expect_payload("{\"exp\":null}", "malformed");
    expect_payload("{\"exp\":-1e300}", "expired");
    expect_payload("{\"nbf\":1000}", NULL);
    expect_payload("{\"nbf\":1001}", "not_yet_valid");
    expect_payload("{\"nbf\":[]}", "malformed");
    expect_payload("{\"iat\":1000}", NULL);
    expect_payload("{\"iat\":1000.1}", "not_yet_valid");
    struct jwt_wanted lenient = hs256;
    lenient.leeway_s = 30;
    expect(&lenient, token("{\"alg\":\"HS256\"}", "{\"exp\":971,\"nbf\":1030,\"iat\":1030}"), NULL);
    expect(&lenient, token("{\"alg\":\"HS256\"}", "{\"exp\":970}"), "expired");
    expect(&lenient, token("{\"alg\":\"HS256\"}", "{\"nbf\":1031}"), "not_yet_valid");
}

Test(jwt, who_made_it_and_for_whom)
{
    struct jwt_wanted wanted = hs256;
    wanted.issuer = SLICE("me");
    wanted.audience = SLICE("you");
    static const struct {
        const char *payload, *fault;
    } cases[] = {
        { "{\"iss\":\"me\",\"aud\":\"you\"}", NULL },
        { "{\"iss\":\"me\",\"aud\":[\"them\",\"you\"]}", NULL },
        { "{\"iss\":\"me\",\"aud\":[\"them\",[\"you\"]]}", "wrong_audience" },
        { "{\"iss\":\"me\",\"aud\":\"You\"}", "wrong_audience" },
        { "{\"iss\":\"me\"}", "wrong_audience" },
        { "{\"aud\":\"you\"}", "wrong_issuer" },
        { "{\"iss\":[\"me\"],\"aud\":\"you\"}", "wrong_issuer" },
        { "{\"iss\":\"me too\",\"aud\":\"you\"}", "wrong_issuer" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        expect(&wanted, token("{\"alg\":\"HS256\"}", cases[i].payload), cases[i].fault);
}

/* ---- weir.jwt.verify ---------------------------------------------------------------------------------------------------- */

static struct script_test t;

static void open_state(void)
{
    open();
    script_test_open(&t);
    t.budget_us = 2000000; /* a key of PEM is read */
}

static void close_state(void)
{
    script_test_close(&t);
    close();
}

TestSuite(api_jwt, .init = open_state, .fini = close_state);

static const char *verify(const char *text, const char *options)
{
    static char code[4096];
    snprintf(code, sizeof code,
             "local rsa, p256 = [[" RFC7515_RS256_KEY "]], [[" RFC7515_ES256_KEY "]] "
             "local c, why = weir.jwt.verify(%s, { %s }) return c and tostring(c.iss) or why",
             text, options);
    return code;
}

static void expect_verified(const char *text, const char *options, const char *result)
{
    script_test_expect(&t, verify(text, options), result);
}

static void expect_raised(const char *options, const char *part)
{
    const char *code = verify("'x'", options);
    cr_assert_eq(script_test_run(&t, code), VM_ERROR, "%s: %s", options, t.result);
    cr_assert_not_null(strstr(t.vm->message, part), "%s: %s", options, t.vm->message);
}

Test(api_jwt, claims_come_as_a_table_or_a_word_says_why_not)
{
    for (int again = 0; again < 2; again++) {
        expect_verified("'" RFC7515_TOKEN(RS256) "'", "alg = 'RS256', key = rsa, now = 1300819000", "joe");
        expect_verified("'" RFC7515_TOKEN(ES256) "'", "alg = 'ES256', key = p256, now = 1300819000", "joe");
        expect_verified("'" RFC7515_TOKEN(RS256) "'", "alg = 'RS256', key = rsa, now = 1300819400, leeway = 60", "joe");
    }
    expect_verified("'" RFC7515_TOKEN(RS256) "'", "alg = 'RS256', key = rsa", "expired");
    expect_verified("'" RFC7515_TOKEN(RS256) "'", "alg = 'RS256', key = rsa, now = 1300819000, iss = 'jim'",
                    "wrong_issuer");
    expect_verified("'" RFC7515_TOKEN(RS256) "'", "alg = 'RS256', key = rsa, now = 1300819000, aud = 'x'",
                    "wrong_audience");
    expect_verified("'" RFC7515_TOKEN(RS256) "'", "alg = 'HS256', key = 'x'", "wrong_algorithm");
    expect_verified("nil", "alg = 'HS256', key = 'x'", "missing");
    expect_verified("''", "alg = 'HS256', key = 'x'", "malformed");
}

Test(api_jwt, mistakes_of_the_script_are_raised)
{
    expect_raised("", "the option 'alg' is HS256");
    expect_raised("alg = 'none', key = 'x'", "the option 'alg' is HS256");
    expect_raised("alg = 'HS256'", "the option 'key' is a text");
    expect_raised("alg = 'HS256', key = ''", "the option 'key' is a text");
    expect_raised("alg = 'HS256', key = 7", "the option 'key' is a text, not a number");
    expect_raised("alg = 'HS256', key = rsa", "this key is not one: it is PEM");
    expect_raised("alg = 'RS256', key = 'x'", "RS256 needs a public key of RSA");
    expect_raised("alg = 'RS256', key = p256", "RS256 needs a public key of RSA");
    expect_raised("alg = 'ES256', key = rsa", "ES256 needs a public key of the curve P-256");
    expect_raised("alg = 'HS256', key = 'x', issuer = 'y'", "there is no option 'issuer'");
    expect_raised("alg = 'HS256', key = 'x', leeway = -1", "'leeway' is out of range");
    expect_raised("alg = 'HS256', key = 'x', leeway = '1'", "'leeway' is a number");
}

/* A metamethod would make texts that nothing holds, and run between two options. */
Test(api_jwt, options_ask_no_function_of_the_scripts)
{
    script_test_expect(&t,
                       "local asked = 0 local function lend(_, name) asked = asked + 1 "
                       "for i = 1, 2000 do local s = ('y'):rep(1000) .. i end "
                       "return name == 'iss' and 'jo' .. ('e'):rep(asked) or nil end "
                       "local options = setmetatable({ alg = 'RS256', key = [[" RFC7515_RS256_KEY
                       "]], now = 1 }, { __index = lend }) "
                       "local c = weir.jwt.verify('" RFC7515_TOKEN(RS256) "', options) return asked .. c.iss",
                       "0joe");
}

/* More keys than are kept: each is read again when its turn comes. */
Test(api_jwt, keys_that_are_kept_are_bounded)
{
    script_test_expect(
        &t,
        "local rsa = [[" RFC7515_RS256_KEY "]] local count = 0 for round = 1, 2 do for i = 1, 40 do "
        "local key = ('#'):rep(i) .. '\\n' .. rsa "
        "local c = weir.jwt.verify('" RFC7515_TOKEN(RS256) "', { alg = 'RS256', key = key, now = 1 }) "
                                                           "count = count + (c and 1 or 0) end end return count",
        "80");
}
