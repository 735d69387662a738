#include "proto/pack.h"

#include "base/bytes.h"
#include "base/check.h"

ProtobufCBinaryData pack_text(struct json_text text)
{
    return (ProtobufCBinaryData){.len = text.n_bytes, .data = (uint8_t *)text.data};
}

void pack_message(struct bytes *out, const ProtobufCMessage *message)
{
    const size_t n_bytes = protobuf_c_message_get_packed_size(message);
    check(bytes_reserve(out, n_bytes));
    out->len += protobuf_c_message_pack(message, (uint8_t *)out->data + out->len);
    out->data[out->len] = '\0';
}
