/* launcher/rank/build_id.h: which sources this program was built from, 16 hexadecimal digits. The
 * ranks of a job compare it; cmake/build_id.cmake makes it. */
#pragma once

extern const char build_id[];
