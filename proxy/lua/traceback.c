/* lua/traceback.c - the frames of a call that failed, at a bounded cost. */
#include "lua/traceback.h"

#include <lauxlib.h>

#include <string.h>

#define FRAMES_SHOWN 20 /* of a deep stack */

static const char *name_of(lua_State *L, const lua_Debug *frame)
{
    if (strcmp(frame->namewhat, "global") == 0)
        return lua_pushfstring(L, "function '%s'", frame->name);
    if (*frame->namewhat != '\0')
        return lua_pushfstring(L, "%s '%s'", frame->namewhat, frame->name);
    if (*frame->what == 'm')
        return "main chunk";
    return *frame->what == 'C' ? "?" : lua_pushfstring(L, "function <%s:%d>", frame->short_src, frame->linedefined);
}

/* luaL_traceback looks for the outermost frames, too, and passes all of them again and again: milliseconds for a deep recursion.
   There the innermost ones are shown in its form. */
void traceback_push(lua_State *L, lua_State *co, const char *message)
{
    lua_Debug frame;
    if (lua_getstack(co, FRAMES_SHOWN, &frame) == 0) {
        luaL_traceback(L, co, message, 0);
        return;
    }
    lua_pushfstring(L, "%s\nstack traceback:", message);
    for (int level = 0; level < FRAMES_SHOWN && lua_getstack(co, level, &frame) != 0; level++) {
        int top = lua_gettop(L);
        lua_getinfo(co, "Sln", &frame);
        const char *name = name_of(L, &frame);
        if (frame.currentline > 0)
            lua_pushfstring(L, "%s\n\t%s:%d: in %s", lua_tostring(L, top), frame.short_src, frame.currentline, name);
        else
            lua_pushfstring(L, "%s\n\t%s: in %s", lua_tostring(L, top), frame.short_src, name);
        lua_replace(L, top);
        lua_settop(L, top);
    }
    lua_pushliteral(L, "\n\t...");
    lua_concat(L, 2);
}
