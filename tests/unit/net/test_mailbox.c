/* tests/unit/net/test_mailbox.c - mail from many threads arrives once, whole and in each sender's order. */
#include "net/mailbox.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define SENDERS          4
#define MAILS_PER_SENDER 5000

struct numbered_mail {
    struct mail mail;
    uint32_t sender, number;
};

struct inspector {
    struct loop *loop;
    uint32_t next_number[SENDERS];
    uint32_t count;
    bool is_out_of_order;
};

static void on_mail(void *owner, struct mail *mail)
{
    struct inspector *in = owner;
    struct numbered_mail *m = CONTAINER_OF(mail, struct numbered_mail, mail);
    in->is_out_of_order |= m->number != in->next_number[m->sender]++;
    memory_free(m);
    if (++in->count == SENDERS * MAILS_PER_SENDER)
        loop_stop(in->loop);
}

struct sender {
    struct mailbox *to;
    uint32_t index;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (uint32_t i = 0; i < MAILS_PER_SENDER; i++) {
        struct numbered_mail *m = memory_zalloc(sizeof(*m));
        m->sender = s->index;
        m->number = i;
        mailbox_send(s->to, &m->mail);
    }
    return NULL;
}

Test(mailbox, delivers_all_mail_in_each_senders_order)
{
    struct inspector in = { .loop = loop_create(NULL) };
    struct mailbox box;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    mailbox_open(&box, in.loop, on_mail, &in);
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ &box, i };
        cr_assert_eq(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    loop_run(in.loop);
    for (uint32_t i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(in.count, SENDERS * MAILS_PER_SENDER);
    cr_assert_not(in.is_out_of_order);
    mailbox_close(&box);
    loop_destroy(in.loop);
}

Test(mailbox, closing_delivers_what_is_left)
{
    struct inspector in = { .loop = loop_create(NULL) };
    struct mailbox box;
    mailbox_open(&box, in.loop, on_mail, &in);
    struct numbered_mail *m = memory_zalloc(sizeof(*m));
    mailbox_send(&box, &m->mail);
    mailbox_close(&box);
    cr_assert_eq(in.count, 1);
    loop_destroy(in.loop);
}
