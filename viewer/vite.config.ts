import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** What the page is made from, as in `crates/hwm/build/sources.rs`. */
const PAGE_SOURCES = ["index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts"];

/** The digest by which the build of hwm knows that a page was made from the sources that it has. */
function sourcesDigest(root: string): string {
  const files = PAGE_SOURCES.flatMap((name) => {
    if (!statSync(join(root, name)).isDirectory()) return [name];
    const below = readdirSync(join(root, name), { encoding: "utf8", recursive: true });
    return below.map((entry) => `${name}/${entry.replaceAll("\\", "/")}`);
  });
  const sha256 = createHash("sha256");
  for (const name of files.sort()) {
    if (statSync(join(root, name)).isDirectory()) continue;
    const content = readFileSync(join(root, name));
    sha256.update(`${name}\0${content.length}\0`).update(content);
  }
  return sha256.digest("hex");
}

/** Puts script and style into the page, with a policy that lets these two run and nothing else load. */
function onePage(): Plugin {
  let digest = "";
  return {
    name: "one-page",
    enforce: "post",
    configResolved(config) {
      // Before anything is read, so that a file which changes meanwhile makes the page one of other sources.
      digest = sourcesDigest(config.root);
    },
    generateBundle(_options, bundle) {
      const page = bundle["index.html"];
      if (page?.type !== "asset") throw new Error("there is no page");
      let html = String(page.source);
      const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
      const hashes = { script: "", style: "" };
      for (const [name, file] of Object.entries(bundle)) {
        if (file.type === "chunk") {
          const code = `\n${file.code.replaceAll("</script", "<\\/script")}`;
          hashes.script = hash(code);
          html = html.replace(/<script type="module"[^>]*><\/script>/, "");
          html = html.replace("</body>", () => `<script type="module">${code}</script>\n</body>`);
          delete bundle[name];
        } else if (name.endsWith(".css")) {
          const css = String(file.source);
          hashes.style = hash(css);
          html = html.replace(/<link rel="stylesheet"[^>]*>/, () => `<style>${css}</style>`);
          delete bundle[name];
        }
      }
      html = html.replace("'script-hash'", hashes.script).replace("'style-hash'", hashes.style);
      // At the very end: a page that was cut short has none.
      page.source = html.replace(/<\/html>\s*$/, `<!-- sources sha256:${digest} -->\n</html>\n`);
    },
  };
}

export default defineConfig({
  plugins: [onePage()],
  // Where the build of hwm looks, and the published crate has it.
  build: {
    outDir: "../crates/hwm/page",
    emptyOutDir: false,
    target: "es2022",
    assetsInlineLimit: Infinity,
    cssCodeSplit: false,
    modulePreload: false,
  },
});
