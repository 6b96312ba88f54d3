/* lua/api_jwt.c - weir.jwt: checks of JSON Web Tokens, and the keys that a state has read.
 *
 * Reading a key of PEM takes longer than a whole call may, so the last few are kept: in the state, and gone with it. */
#include "lua/api.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "lua/jwt.h"

#define KEYS_KIND      "keys" /* metatable in the registry */
#define KEYS_MAX       16
#define KEY_TEXT_BYTES (16u * 1024)
#define LEEWAY_MAX_S   86400

/* A text that was read; also one that is no key, so that a mistake costs no more than a key. */
struct kept_key {
    char *pem; /* owned; NULL: free */
    size_t length;
    enum public_key_kind kind;
    struct public_key *key; /* NULL: it is none of that kind */
};

/* A userdata. When all are taken, the one that was read longest ago goes. */
struct kept_keys {
    struct kept_key keys[KEYS_MAX];
    unsigned next;
};

static void forget(struct kept_key *k)
{
    memory_free(k->pem);
    public_key_destroy(k->key);
    *k = (struct kept_key){ .pem = NULL };
}

static int collect_keys(lua_State *L)
{
    struct kept_keys *keys = lua_touserdata(L, 1);
    for (unsigned i = 0; i < KEYS_MAX; i++)
        forget(&keys->keys[i]);
    return 0;
}

void api_jwt_open(lua_State *L)
{
    struct kept_keys *keys = lua_newuserdatauv(L, sizeof *keys, 0);
    memset(keys, 0, sizeof *keys);
    luaL_newmetatable(L, KEYS_KIND);
    lua_pushcfunction(L, collect_keys);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, collect_keys);
}

static const struct public_key *find_key(lua_State *L, struct slice pem, enum public_key_kind kind)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, collect_keys);
    struct kept_keys *keys = lua_touserdata(L, -1);
    lua_pop(L, 1);
    for (unsigned i = 0; i < KEYS_MAX; i++) {
        const struct kept_key *k = &keys->keys[i];
        if (k->pem != NULL && k->kind == kind && slice_equal(slice_from(k->pem, k->length), pem))
            return k->key;
    }
    struct kept_key *k = &keys->keys[keys->next++ % KEYS_MAX];
    forget(k);
    *k = (struct kept_key){ memory_alloc(pem.len), pem.len, kind, public_key_read(pem, kind) };
    memcpy(k->pem, pem.ptr, pem.len);
    return k->key;
}

/* ---- options --------------------------------------------------------------------------------------------------------- */

/* Pushes an option. No metamethod is asked: a text that it makes would be nobody's once it is off the stack. */
static int push_option(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    return lua_rawget(L, 2);
}

/* What they point to stays in the table of options. ptr NULL: not there. */
static struct slice text_option(lua_State *L, const char *name)
{
    size_t length = 0;
    const char *bytes = NULL;
    int type = push_option(L, name);
    if (type == LUA_TSTRING)
        bytes = lua_tolstring(L, -1, &length);
    else if (type != LUA_TNIL)
        luaL_error(L, "the option '%s' is a text, not a %s", name, luaL_typename(L, -1));
    lua_pop(L, 1);
    return slice_from(bytes, length);
}

static double number_option(lua_State *L, const char *name, double otherwise, double most)
{
    double number = otherwise;
    int type = push_option(L, name);
    if (type == LUA_TNUMBER)
        number = lua_tonumber(L, -1);
    else if (type != LUA_TNIL)
        luaL_error(L, "the option '%s' is a number, not a %s", name, luaL_typename(L, -1));
    if (!(number >= 0 && number <= most))
        luaL_error(L, "the option '%s' is out of range", name);
    lua_pop(L, 1);
    return number;
}

static enum jwt_algorithm algorithm_option(lua_State *L)
{
    struct slice name = text_option(L, "alg");
    for (unsigned i = 0; i < JWT_ALGORITHM_COUNT; i++)
        if (slice_equal(name, slice_from_cstr(jwt_algorithm_names[i])))
            return (enum jwt_algorithm)i;
    luaL_error(L, "the option 'alg' is HS256, RS256 or ES256: what the key is made for");
    return JWT_ALGORITHM_COUNT;
}

/* A public key is no secret: who knows it, and that is everybody, could sign for HS256 (RFC 8725, 3.1). */
static void take_key(lua_State *L, struct jwt_wanted *w)
{
    struct slice text = text_option(L, "key");
    if (text.len == 0 || text.len > KEY_TEXT_BYTES)
        luaL_error(L, "the option 'key' is a text of 1 to %d bytes", (int)KEY_TEXT_BYTES);
    if (w->algorithm == JWT_HS256) {
        if (slice_contains(text, SLICE("-----BEGIN")))
            luaL_error(L, "HS256 needs a secret, and this key is not one: it is PEM");
        w->secret = text;
        return;
    }
    bool is_rsa = w->algorithm == JWT_RS256;
    w->key = find_key(L, text, is_rsa ? PUBLIC_KEY_RSA : PUBLIC_KEY_P256);
    if (w->key == NULL)
        luaL_error(L, is_rsa ? "RS256 needs a public key of RSA in PEM, of 2048 to 8192 bits"
                             : "ES256 needs a public key of the curve P-256 in PEM");
}

/* ---- verify(token, options) ------------------------------------------------------------------------------------------- */

struct verification {
    struct jwt_wanted wanted;
    struct json *claims;
};

/* (token, options) -> claims, or nil and a word */
static int verify_body(lua_State *L)
{
    struct verification *v = lua_touserdata(L, 3);
    size_t length;
    const char *token = lua_tolstring(L, 1, &length);
    const char *fault = jwt_verify(&v->wanted, slice_from(token, length), &v->claims);
    if (fault == NULL)
        api_push_json(L, v->claims);
    else
        lua_pushnil(L);
    lua_pushstring(L, fault); /* NULL: nil */
    return 2;
}

static int jwt_verify_function(lua_State *L)
{
    static const char *const options[] = { "key", "alg", "iss", "aud", "leeway", "now", NULL };
    struct verification v = { .claims = NULL };
    if (!lua_isnoneornil(L, 1))
        luaL_checktype(L, 1, LUA_TSTRING);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    api_check_options(L, 2, options);
    v.wanted.algorithm = algorithm_option(L);
    v.wanted.issuer = text_option(L, "iss");
    v.wanted.audience = text_option(L, "aud");
    v.wanted.leeway_s = number_option(L, "leeway", 0, LEEWAY_MAX_S);
    v.wanted.now_s = number_option(L, "now", (double)api_now(L).unix_ms / 1000, HUGE_VAL);
    take_key(L, &v.wanted);
    if (lua_isnil(L, 1)) {
        lua_pushnil(L);
        lua_pushliteral(L, "missing");
        return 2;
    }
    int status = api_call_guarded(L, verify_body, &v, 2);
    json_destroy(v.claims);
    return api_end_guarded(L, status, 2);
}

void api_jwt_push(lua_State *L)
{
    static const luaL_Reg functions[] = { { "verify", jwt_verify_function }, { NULL, NULL } };
    luaL_newlib(L, functions);
}
