import { it, layer, type Vitest } from "@effect/vitest"
import type { Layer } from "effect"

type Tests<R> = (it: Vitest.MethodsNonLive<R, true>) => void

/**
 * Tests that share what a layer builds, and whose time is real.
 *
 * `layer` gives the methods of `it` a new meaning, and means the one `it` that
 * all files share: other files would have no TestClock any more. So `it` gets
 * its own back.
 */
export const sharing =
  <R, E>(shared: Layer.Layer<R, E>, timeout: `${number} seconds`) =>
  (define: Tests<R>): void => {
    const own = { ...it }
    layer(shared, { excludeTestServices: true, timeout })(define)
    Object.assign(it, own)
  }
