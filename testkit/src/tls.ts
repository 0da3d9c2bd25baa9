/** Makes a certificate authority and a server certificate for loopback, new in each call; nothing secret is kept. */

export interface Certificates {
  /** The authority's certificate, which a client must trust. PEM, like the others. */
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

/** Makes certificates that hold for `localhost` and `127.0.0.1`. */
export async function makeCertificates(): Promise<Certificates> {
  // Two hundred files, and few who import the test kit want certificates.
  const { generate } = await import('selfsigned')
  const authority = await generate([{ name: 'commonName', value: 'Breakwater test authority' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const server = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { ca: authority.cert, certificate: server.cert, key: server.private }
}
