/* admin/actions.h - what reload and restore answer alike. For admin/ only. */
#ifndef ADMIN_ACTIONS_H
#define ADMIN_ACTIONS_H

#include "admin/call.h"

/* 200 once every worker has switched, or 422 with every problem. */
void reply_reload(struct admin_call *call, const struct reload_outcome *outcome);

#endif
