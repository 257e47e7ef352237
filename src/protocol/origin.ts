/**
 * Whether a page's origin is the server that it talks to.
 *
 * @see RFC 6454 §4, RFC 6455 §10.2
 */

const withoutDefaultPort = (host: string): string => host.replace(/:(?:80|443)$/, "")

/**
 * Compares the parsed hosts and ports. The scheme does not count, as TLS may
 * end at a proxy, and so the ports 80 and 443 are the same as none.
 */
export const isSameOrigin = (origin: string, host: string): boolean => {
  if (!URL.canParse(origin) || !URL.canParse(`http://${host}/`)) return false
  const page = new URL(origin)
  if (page.protocol !== "http:" && page.protocol !== "https:") return false
  return withoutDefaultPort(page.host) === withoutDefaultPort(new URL(`http://${host}/`).host)
}
