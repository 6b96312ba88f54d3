/* net/tls_tickets.h - the keys that session tickets are sealed with: the same on every worker, new ones from time to
 * time.
 *
 * A ticket holds the whole state of a session, so that no worker has to remember any. The main thread makes the keys
 * and mails a copy to each worker, whose loop keeps it: a session begun at one worker is resumed at any other, and over
 * a reload. New tickets are sealed with the newest key; older keys still open theirs, and then they are gone, and with
 * them whatever they could decrypt. */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H

#include <stdint.h>

struct loop;

#define TLS_TICKET_KEYS     3     /* the newest seals, all open */
#define TLS_TICKET_ROTATE_S 14400 /* a new key this often */

struct tls_ticket_key {
    unsigned char name[16], cipher[32], mac[32]; /* random, all of it */
};

/* Newest first. */
struct tls_ticket_keys {
    struct tls_ticket_key keys[TLS_TICKET_KEYS];
    uint32_t count;
};

/* Puts a new key in front; the oldest of TLS_TICKET_KEYS goes. All zero: begins. */
void tls_ticket_keys_rotate(struct tls_ticket_keys *keys);
/* Copies them for the connections of this loop; NULL: forgets them. */
void tls_ticket_keys_set(struct loop *loop, const struct tls_ticket_keys *keys);
/* Overwrites them. */
void tls_ticket_keys_wipe(struct tls_ticket_keys *keys);

#endif
