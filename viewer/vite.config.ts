import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

/** Puts script and style into the page, with a policy that lets these two run and nothing else load. */
function onePage(): Plugin {
  return {
    name: "one-page",
    enforce: "post",
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
      page.source = html;
    },
  };
}

export default defineConfig({
  plugins: [onePage()],
  build: { target: "es2022", assetsInlineLimit: Infinity, cssCodeSplit: false, modulePreload: false },
});
