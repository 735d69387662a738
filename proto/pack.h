/* proto/pack.h: messages of protobuf-c to bytes. For the .c files of proto/ alone. */
#pragma once
#include "proto/json_logprobs.h" /* json_text */

#include <protobuf-c/protobuf-c.h>

struct bytes;

/* Borrowed: it must live until the message is packed. */
ProtobufCBinaryData pack_text(struct json_text text);
/* Appends it. The buffer has no maximum. */
void pack_message(struct bytes *out, const ProtobufCMessage *message);
