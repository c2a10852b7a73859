/* SPDX-License-Identifier: MIT
 * Another dtype or device: tv_astype and tv_to. */
#include <tensorvar/tensor.h>

#include "deferred.h"
#include "device.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"
#include "variable/tape.h"

/* The tape gives a gradient the dtype and device of its input anyway. */
static tv_tensor *same(const tvi_saved *s, tv_tensor *g) {
  (void)s;
  return g;
}
static const tvi_rule astype_rule = {.name = "astype", .in = {{TVI_USES_NONE, same}}};
static const tvi_rule to_rule = {.name = "to", .in = {{TVI_USES_NONE, same}}};

tv_tensor *tv_astype(tv_tensor *x, tv_dtype dtype) {
  if (!x) return tvi_null("astype", "x");
  if (!tvi_scope_is_open("astype")) return NULL;
  if (!tvi_is_dtype(dtype)) return tvi_fail(TV_EDTYPE, "astype: %d is no dtype", (int)dtype);
  if (x->dtype == dtype && !x->weak.kind) return x;
  if (tvi_is_complex(x->dtype) && !tvi_is_complex(dtype) && dtype != TV_BOOL)
    return tvi_fail(TV_EDTYPE, "astype: from %s to %s: take tv_real or tv_imag first",
                    tv_dtype_name(x->dtype), tv_dtype_name(dtype));
  tv_tensor *y = NULL;
  if (!tvi_deferred_cast(x, dtype, &y)) {
    tv_tensor *const strong = tvi_tensor_strong("astype", x, tvi_self.device);
    y = strong ? tvi_tensor_copy("astype", strong, dtype, tvi_tensor_on(strong)) : NULL;
    tv_release(strong);
  }
  return tvi_finish(&astype_rule, y, 1, &x, 0, NULL);
}

tv_tensor *tv_to(tv_tensor *x, tv_device device) {
  if (!x) return tvi_null("to", "x");
  if (!tvi_scope_is_open("to") || !tvi_device_find("to", device)) return NULL;
  if (tvi_tensor_on(x) == device) return x;
  return tvi_finish(&to_rule, tvi_tensor_copy("to", x, x->dtype, device), 1, &x, 0, NULL);
}
