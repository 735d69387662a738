/* runtime/jinja/methods.h: (to be written) */
#pragma once
