/* server/weights.c - the weights in force: those set at run time, and those of rollouts over them. */
#include "server/parts.h"

static void on_weights_unused(void *arg, uint64_t generation)
{
    struct server *s = arg;
    rollouts_on_weights_unused(&s->rollouts, generation);
    drills_on_weights_unused(&s->drills, generation);
}

static void on_event(void *arg, const struct event_row *event)
{
    struct server *s = arg;
    admin_publish(s->admin, event);
}

static void on_monitor(void *arg, const struct monitor_status *status)
{
    struct server *s = arg;
    rollouts_on_monitor(&s->rollouts, status);
}

static bool send_errand(void *arg, const struct courier_errand *errand)
{
    struct server *s = arg;
    return courier_send(s->courier, errand);
}

static struct wall_time read_wall(void *arg)
{
    (void)arg;
    return clock_wall();
}

void server_rollouts_begin(struct server *s)
{
    s->courier = courier_start(s->loop);
    s->monitors = monitors_create(s->loop, s->courier, on_monitor, s);
    s->rollouts = (struct rollouts){ .loop = s->loop,
                                     .publisher = &s->publisher,
                                     .store = s->store,
                                     .stats = s->stats,
                                     .monitors = s->monitors,
                                     .worker_count = s->worker_count,
                                     .publish = server_publish_weights,
                                     .send = send_errand,
                                     .wall = read_wall,
                                     .publish_event = on_event,
                                     .arg = s };
    rollouts_init(&s->rollouts);
    outcome_desk_init(&s->outcomes, &s->rollouts);
    s->slos = (struct slos){ .loop = s->loop, .stats = s->stats, .store = s->store };
    slos_init(&s->slos);
    s->deployments = (struct deployments){ .loop = s->loop, .stats = s->stats, .store = s->store };
    deployments_init(&s->deployments);
    s->drills =
        (struct drills){ .rollouts = &s->rollouts, .sockets = &s->sockets, .publish_event = on_event, .arg = s };
    drills_init(&s->drills);
    drills_settle(&s->drills);
    s->publisher.on_weights_unused = on_weights_unused;
}

void server_rollouts_end(struct server *s)
{
    if (s->courier == NULL)
        return;
    drills_fini(&s->drills);
    courier_stop(s->courier);
    monitors_destroy(s->monitors);
    rollouts_fini(&s->rollouts);
    slos_fini(&s->slos);
    deployments_fini(&s->deployments);
}

struct weights_set *server_weights_create(struct server *s, const struct snapshot *snapshot)
{
    struct weights_set *set = weights_set_create(&s->publisher);
    override_set_apply(&s->overrides, snapshot, &set->arena, &set->weights);
    rollouts_apply(&s->rollouts, snapshot, &set->arena, &set->weights);
    drills_apply(&s->drills, &set->arena, &set->weights);
    return set;
}

void server_publish_weights(void *arg)
{
    struct server *s = arg;
    publish_weights(&s->publisher, server_weights_create(s, publisher_snapshot(&s->publisher)));
}
