/* http/proxy_header.h - PROXY protocol, versions 1 and 2: the header by which a proxy in front tells whom a connection is from.
 *
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2. Pure: bytes in, a verdict out. Whom to
 * believe is the caller's (front/arrival.c). What version 2 carries behind the addresses (TLVs) is passed over. */
#ifndef HTTP_PROXY_HEADER_H
#define HTTP_PROXY_HEADER_H

#include <stdint.h>

#include "base/slice.h"
#include "base/units.h"

#define PROXY_HEADER_MAX_BYTES    4096u /* version 2 could announce 64 KiB; TLVs with a client's certificate take some */
#define PROXY_HEADER_V1_MAX_BYTES 107u  /* the longest line there is, by the protocol */

enum proxy_header_result {
    PROXY_HEADER_MORE,   /* a beginning, shorter than PROXY_HEADER_MAX_BYTES; every byte of it belongs to the header */
    PROXY_HEADER_SOURCE, /* complete: source and source_port are set */
    PROXY_HEADER_LOCAL, /* complete, and names nobody (UNKNOWN, LOCAL, a family other than TCP): the peer speaks for itself */
    PROXY_HEADER_BAD /* problem says what is wrong, whatever follows */
};

struct proxy_header {
    size_t length; /* SOURCE, LOCAL: what follows is the connection's own */
    struct ip_address source;
    uint16_t source_port;
    const char *problem; /* BAD: a clause, static */
};

/* Starts over with each call: `bytes` is all that came. What it says of a beginning holds for the whole: once not MORE, the same. */
enum proxy_header_result proxy_header_read(struct slice bytes, struct proxy_header *out);

#endif
