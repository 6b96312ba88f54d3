/* lua/api_body.c - the body of a copy, as on_shadow reads and replaces it: req:body() and req:set_body(text).
 *
 * A request's own body streams past its hooks, and waits for nobody. */
#include "lua/api.h"

static struct script_copy *check_copy(lua_State *L, const char *what)
{
    struct script_copy *copy = api_check_request(L)->copy;
    if (copy == NULL)
        luaL_error(L, "req:%s works in on_shadow only: elsewhere the body has not come yet", what);
    return copy;
}

/* The bytes as they came, so also when they are compressed. Each call makes a new text of them. */
int api_body_get(lua_State *L)
{
    const struct script_copy *copy = check_copy(L, "body");
    struct pieces_walk walk = { 0 };
    luaL_Buffer text;
    if (copy->body == NULL) {
        lua_pushnil(L);
        return 1;
    }
    luaL_buffinitsize(L, &text, copy->body->bytes);
    for (const struct piece *piece; (piece = pieces_next(copy->body, &walk)) != NULL;)
        luaL_addlstring(&text, piece->chunk->bytes + piece->offset, piece->length);
    luaL_pushresult(&text);
    return 1;
}

int api_body_set(lua_State *L)
{
    struct script_copy *copy = check_copy(L, "set_body");
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    if (copy->body == NULL)
        luaL_error(L, "this copy has no body to replace");
    if (length > copy->body_max_bytes)
        luaL_error(L, "a body of %d bytes is longer than max_body of the shadow", (int)length);
    copy->set_body(copy->arg, slice_from(bytes, length));
    return 0;
}
