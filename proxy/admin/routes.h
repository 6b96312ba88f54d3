/* admin/routes.h - routes as the API finds and shows them. For admin/ only. */
#ifndef ADMIN_ROUTES_H
#define ADMIN_ROUTES_H

#include "admin/call.h"

const struct compiled_route *route_named(const struct admin_control *control, struct slice name);
/* The route that the path's first parameter names; NULL with a 404 in the reply. */
const struct compiled_route *route_required(struct admin_call *call);
/* The weights set at run time, or NULL. */
const struct override *override_of(const struct admin_control *control, struct slice route);

/* Fills an object with everything about a route. */
void put_route(struct json *object, const struct admin_control *control, const struct compiled_route *route);
/* 200 with the route in {"generation", "weights_generation", "route"}. */
void reply_route(struct admin_call *call, const struct compiled_route *route);

#endif
