/* admin/health.c - is it alive, is it ready, and what has it counted.
 *
 * healthz answers as long as the main thread turns its loop: restart the process when it does not. readyz says whether to send
 * clients here: not before the workers serve, and not while draining. Neither looks at upstreams by itself: an instance whose
 * upstreams are down is no better replaced by another with the same ones. Where it is (a site of its own), a monitor may say
 * so: `unready_after`. */
#include "admin/dispatch.h"

void api_healthz(struct admin_call *call)
{
    reply_text(call->reply, 200, "ok\n");
}

static void reply_of_monitors(struct admin_call *call)
{
    struct text why = { 0 };
    bool is_unready = call->control->is_unready(call->control->arg, &why);
    text_add_char(&why, '\n');
    reply_text(call->reply, is_unready ? 503 : 200, is_unready ? why.bytes : "ready\n");
    text_fini(&why);
}

void api_readyz(struct admin_call *call)
{
    switch (call->control->state(call->control->arg)) {
    case PROCESS_STARTING:
        reply_text(call->reply, 503, "starting\n");
        break;
    case PROCESS_SERVING:
        reply_of_monitors(call);
        break;
    case PROCESS_DRAINING:
        reply_text(call->reply, 503, "draining\n");
        break;
    }
}

void api_metrics(struct admin_call *call)
{
    struct metrics_facts facts;
    const struct field *accept = message_field_named(call->request, SLICE("accept"), NULL);
    enum expose_format format = expose_format_from_accept(accept != NULL ? accept->value : SLICE_NONE);
    call->control->metrics(call->control->arg, call->arena, &facts);
    call->reply->status = 200;
    call->reply->content_type = expose_content_types[format];
    metrics_write(&call->reply->body, format, call->control->stats, &facts);
}
