/* launcher/serve/addresses.h: where a server listens, in words of its options. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct error;
struct options;

/* ERROR_INPUT: others could reach the address and nobody needs a key; half a pair of TLS files; one
 * port for two protocols. */
bool addresses_check(const struct options *options, int n_keys, struct error *err);
/* "http://127.0.0.1:8000", as a user of this machine writes it. */
void addresses_url(char *out, size_t n_bytes, const struct options *options, int port);
/* " (gRPC at 127.0.0.1:8001)" */
void addresses_rpc(char *out, size_t n_bytes, const struct options *options);
