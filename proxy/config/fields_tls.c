/* config/fields_tls.c - THE table's rows for TLS: the admin API, listeners, upstreams.
 *
 * Files are named here and looked into elsewhere (front/tls_set.c): this folder knows no certificates. */
#include "config/rows.h"

static const struct setting certificate_rows[] = {
    { PEM("cert", struct certificate_config, cert), .flags = SETTING_REQUIRED,
      .doc = "PEM file of the certificate, then of those that lead to its authority." },
    { PEM("key", struct certificate_config, key), .flags = SETTING_REQUIRED,
      .doc = "PEM file of its private key, without a passphrase." },
};

const struct setting_table config_certificate_table = {
    .name = "certificate",
    .doc = "A certificate and its key.",
    .struct_bytes = sizeof(struct certificate_config),
    .place_offset = offsetof(struct certificate_config, place),
    ROWS(certificate_rows),
};

static const struct setting_choice min_version_words[] = {
    { "1.2", TLS_MIN_1_2, "TLS 1.2 and 1.3" },
    { "1.3", TLS_MIN_1_3, "TLS 1.3 alone" },
    { NULL, 0, NULL },
};

static const struct setting_choice client_auth_words[] = {
    { "none", CLIENT_AUTH_NONE, "no certificate is asked for" },
    { "request", CLIENT_AUTH_REQUEST, "one is asked for, and must be good if it is shown" },
    { "require", CLIENT_AUTH_REQUIRE, "without a good one there is no connection" },
    { NULL, 0, NULL },
};

static const struct setting listener_tls_rows[] = {
    { LIST_OF("certificates", struct listener_tls_config, certificates, certificate_count, struct certificate_config,
              config_certificate_table),
      .flags = SETTING_REQUIRED,
      .doc = "Chosen by the name the client asks for (SNI): an exact name before a wildcard, the first for any other. "
             "Several of different key types may be for the same names." },
    { CHOICE("min_version", struct listener_tls_config, min_version, enum tls_min_version, min_version_words),
      .default_text = "1.2", .doc = "The oldest version of TLS that is spoken." },
    { PEM("client_ca", struct listener_tls_config, client_ca),
      .doc = "PEM file of the authorities that clients' certificates must come from." },
    { CHOICE("client_auth", struct listener_tls_config, client_auth, enum client_auth, client_auth_words),
      .default_text = "none", .doc = "Whether clients show certificates." },
};

const struct setting_table config_listener_tls_table = {
    .name = "listener_tls",
    .doc = "TLS towards clients.",
    .struct_bytes = sizeof(struct listener_tls_config),
    .place_offset = offsetof(struct listener_tls_config, place),
    ROWS(listener_tls_rows),
    .rule = "There is at least one certificate; `client_ca` and `client_auth` come together.",
    .finish = listener_tls_finish,
};

static const struct setting upstream_tls_rows[] = {
    { TEXT("sni", struct upstream_tls_config, sni), .format = &format_server_name,
      .doc = "The name to ask for and to expect in the certificate; without it, the endpoint's host." },
    { PEM("ca", struct upstream_tls_config, ca),
      .doc = "PEM file of the authorities that its certificates must come from; without it, the system's." },
    { BOOL("verify", struct upstream_tls_config, is_verified), .default_text = "true",
      .doc = "Whether certificates are verified, chain and name; `false` protects against nobody who is on the way." },
    { PEM("cert", struct upstream_tls_config, own.cert), .doc = "PEM file of a certificate to show when asked." },
    { PEM("key", struct upstream_tls_config, own.key), .doc = "PEM file of its private key, without a passphrase." },
};

const struct setting_table config_upstream_tls_table = {
    .name = "upstream_tls",
    .doc = "TLS towards an upstream; `tls: {}` takes the defaults.",
    .struct_bytes = sizeof(struct upstream_tls_config),
    .place_offset = offsetof(struct upstream_tls_config, place),
    ROWS(upstream_tls_rows),
    .rule = "`cert` and `key` come together.",
    .finish = upstream_tls_finish,
};
