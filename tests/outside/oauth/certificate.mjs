/** A certificate for a server of the test's own, made by `openssl` for this run and trusted by nobody else. */

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** A key and a certificate for `host`, as PEM; `file` is the certificate's, for whoever is to trust it. */
export async function certify(host, folder) {
  const [settings, keyFile, file] = ["openssl.cnf", "key.pem", "certificate.pem"].map((name) => join(folder, name));
  const lines = [
    "[req]",
    "prompt = no",
    "distinguished_name = name",
    "x509_extensions = extensions",
    "[name]",
    `CN = ${host}`,
    "[extensions]",
    "basicConstraints = critical, CA:FALSE",
    `subjectAltName = DNS:${host}`,
  ];
  await writeFile(settings, lines.join("\n"));
  const wanted = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const files = ["-config", settings, "-keyout", keyFile, "-out", file];
  await promisify(execFile)("openssl", ["req", "-x509", ...wanted, ...files], { timeout: 30_000 });
  return { file, key: await readFile(keyFile, "utf8"), certificate: await readFile(file, "utf8") };
}
