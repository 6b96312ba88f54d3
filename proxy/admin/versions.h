/* admin/versions.h - stored configurations as restore needs them too. For admin/ only. */
#ifndef ADMIN_VERSIONS_H
#define ADMIN_VERSIONS_H

#include "admin/call.h"
#include "store/versions.h"

/* The path's {generation}; false with a 404. */
bool generation_param(struct admin_call *call, uint64_t *generation);
/* A stored version in the call's arena; false with a 404 or 503. */
bool version_required(struct admin_call *call, uint64_t generation, struct version *version, struct slice *text);

#endif
