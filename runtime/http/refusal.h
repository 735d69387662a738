/* runtime/http/refusal.h: the answer to what is not HTTP, or more of it than the limits allow. */
#pragma once

struct refusal {
    int status;      /* 400, 405, 408, 413, 417, 431, 505 */
    const char *why; /* a literal, for the client; no character that JSON escapes */
};
