/* runtime/text/model/token_trie.h: all tokens that begin at a place of a text, in one walk.
 *
 * A tree over the bytes of the tokens of a vocabulary. Bytes that leave no choice are not nodes of
 * their own, so there are at most two nodes a token, whatever the tokens are.
 * A walk takes a step a byte and ends where no token goes on.
 */
#pragma once
#include "runtime/text/model/vocabulary.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { TOKEN_TRIE_MAX_TOKEN_BYTES = 1 << 10 }; /* a walk is at most so long: real ones have 100 */

struct token_trie {                      /* all zero is empty */
    const struct vocabulary *vocabulary; /* borrowed */
    struct token_trie_node {
        uint32_t children; /* the first; they lie together, ascending */
        uint32_t rest;     /* where in the records the bytes are that must follow first */
        int32_t id;        /* of the token that ends behind them; -1: none */
        uint16_t n_children, n_rest;
    } * nodes;             /* [n_nodes]; the first is the root */
    unsigned char *labels; /* [n_nodes], the byte that leads to a node */
    size_t n_nodes, capacity;
};

/* Of all texts that the vocabulary finds, but the empty one. ERROR_INPUT for a token of more than
 * TOKEN_TRIE_MAX_TOKEN_BYTES. */
bool token_trie_build(struct token_trie *trie, const struct vocabulary *vocabulary,
                      struct error *err);
void token_trie_release(struct token_trie *trie);

struct token_trie_place { /* all zero is the begin of all tokens */
    uint32_t node, n_rest;
};

/* Goes on by one byte; false: no token does. */
bool token_trie_step(const struct token_trie *trie, struct token_trie_place *place,
                     unsigned char byte);
/* The token that ends here, or -1. */
int32_t token_trie_id(const struct token_trie *trie, const struct token_trie_place *place);
