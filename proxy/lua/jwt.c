/* lua/jwt.c - JSON Web Tokens (RFC 7519) in their compact form, signed: is this one good, and what does it claim?
 *
 * Order: the signature before the claims, so that nobody learns from the answer what a token of their own making lacks. */
#include "lua/jwt.h"

#include "base/arena.h"
#include "crypto/base64.h"

const char *const jwt_algorithm_names[JWT_ALGORITHM_COUNT] = {
    [JWT_HS256] = "HS256",
    [JWT_RS256] = "RS256",
    [JWT_ES256] = "ES256",
};

/* HEADER.PAYLOAD.SIGNATURE */
struct token {
    struct slice header, payload, signature; /* still in base64 */
    struct slice is_signed;                  /* HEADER.PAYLOAD */
};

static bool split(struct slice text, struct token *t)
{
    size_t first = slice_find(text, '.');
    struct slice rest = slice_after(text, first + 1 > text.len ? text.len : first + 1);
    size_t second = slice_find(rest, '.');
    if (first == text.len || second == rest.len)
        return false;
    t->header = slice_first(text, first);
    t->payload = slice_first(rest, second);
    t->signature = slice_after(rest, second + 1);
    t->is_signed = slice_first(text, first + 1 + second);
    return t->header.len > 0 && t->payload.len > 0;
}

/* NULL when it is no object. */
static struct json *read_object(struct arena *arena, struct slice part)
{
    struct text error;
    struct slice text;
    if (!base64url_read(arena, part, &text))
        return NULL;
    text_init(&error);
    struct json *object = json_parse_limited(text, &(struct json_limits){ .value_max = JWT_MAX_VALUES }, &error);
    text_fini(&error);
    if (json_kind(object) == JSON_KIND_OBJECT)
        return object;
    json_destroy(object);
    return NULL;
}

/* What a header says that we do not know, and must know (RFC 7515, 4.1.11), is a reason to refuse. */
static const char *header_fault(struct arena *arena, enum jwt_algorithm algorithm, struct slice part)
{
    struct slice name;
    struct json *header = read_object(arena, part);
    const char *fault = NULL;
    if (header == NULL || !json_as_string(json_get(header, "alg"), &name))
        fault = "malformed";
    else if (!slice_equal(name, slice_from_cstr(jwt_algorithm_names[algorithm])))
        fault = "wrong_algorithm";
    else if (json_get(header, "crit") != NULL)
        fault = "unsupported";
    json_destroy(header);
    return fault;
}

static bool is_signed(const struct jwt_wanted *w, struct slice bytes, struct slice signature)
{
    return w->algorithm == JWT_HS256 ? signature_is_hmac_sha256(w->secret, bytes, signature)
                                     : public_key_has_signed(w->key, bytes, signature);
}

/* A claim of time: seconds since 1970, whole or not. False when it is there and no number. */
static bool read_time(const struct json *claims, const char *name, bool *has, double *out)
{
    const struct json *claim = json_get(claims, name);
    *has = claim != NULL;
    return claim == NULL || json_as_real(claim, out);
}

/* RFC 7519, 4.1.4 to 4.1.6. */
static const char *time_fault(const struct jwt_wanted *w, const struct json *claims)
{
    bool has_end, has_begin, has_issued;
    double end = 0, begin = 0, issued = 0;
    if (!read_time(claims, "exp", &has_end, &end) || !read_time(claims, "nbf", &has_begin, &begin) ||
        !read_time(claims, "iat", &has_issued, &issued))
        return "malformed";
    if (has_end && w->now_s >= end + w->leeway_s)
        return "expired";
    if ((has_begin && w->now_s < begin - w->leeway_s) || (has_issued && w->now_s < issued - w->leeway_s))
        return "not_yet_valid";
    return NULL;
}

static bool is_text(const struct json *claim, struct slice wanted)
{
    struct slice text;
    return json_as_string(claim, &text) && slice_equal(text, wanted);
}

/* One text, or an array of them (RFC 7519, 4.1.3). */
static bool is_for(const struct json *audience, struct slice wanted)
{
    bool is = is_text(audience, wanted);
    for (size_t i = 0; !is && json_kind(audience) == JSON_KIND_ARRAY && i < json_count(audience); i++)
        is = is_text(json_at(audience, i), wanted);
    return is;
}

static const char *claims_fault(const struct jwt_wanted *w, const struct json *claims)
{
    const char *fault = time_fault(w, claims);
    if (fault != NULL)
        return fault;
    if (w->issuer.ptr != NULL && !is_text(json_get(claims, "iss"), w->issuer))
        return "wrong_issuer";
    if (w->audience.ptr != NULL && !is_for(json_get(claims, "aud"), w->audience))
        return "wrong_audience";
    return NULL;
}

static const char *verify(struct arena *arena, const struct jwt_wanted *w, struct slice text, struct json **claims)
{
    struct token t;
    struct slice signature;
    if (text.len > JWT_MAX_BYTES)
        return "too_long";
    if (!split(text, &t) || !base64url_read(arena, t.signature, &signature))
        return "malformed";
    const char *fault = header_fault(arena, w->algorithm, t.header);
    if (fault != NULL)
        return fault;
    if (!is_signed(w, t.is_signed, signature))
        return "bad_signature";
    *claims = read_object(arena, t.payload);
    return *claims == NULL ? "malformed" : claims_fault(w, *claims);
}

const char *jwt_verify(const struct jwt_wanted *wanted, struct slice token, struct json **claims)
{
    struct arena arena;
    *claims = NULL;
    arena_init(&arena, NULL, 0);
    const char *fault = verify(&arena, wanted, token, claims);
    arena_reset(&arena);
    if (fault != NULL) {
        json_destroy(*claims);
        *claims = NULL;
    }
    return fault;
}
