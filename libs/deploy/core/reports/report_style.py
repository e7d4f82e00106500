"""How a report looks; nothing else."""

STYLE = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--dim:#647082;--line:#e3e7ec;--good:#1a7f4b;--bad:#c2303a;--warn:#a86a00;
--old:#8a94a3;--new:#2563eb;--soft:#eef3ff}
@media (prefers-color-scheme:dark){:root{--bg:#10151c;--card:#18202a;--ink:#e6ebf2;--dim:#93a0b1;--line:#2a3542;
--good:#41c47f;--bad:#ff6b74;--warn:#e2a93b;--old:#7d8998;--new:#6ea0ff;--soft:#1c2a44}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
header,section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px 24px;margin:0 0 18px}
h1{font-size:26px;margin:4px 0 6px;letter-spacing:-.01em}h2{font-size:17px;margin:0 0 10px}
h3{font-size:14px;margin:0 0 4px}header p{margin:0;color:var(--dim)}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}
h1 code{font-size:22px;font-weight:500;color:var(--dim)}
pre{background:var(--bg);padding:12px;border-radius:8px;overflow:auto}
.badge{float:right;padding:5px 14px;border-radius:99px;color:#fff;background:var(--warn);font-weight:600}
.badge.live{background:var(--good)}.badge.reverted,.badge.stuck{background:var(--bad)}
.why{color:var(--bad)!important;margin:8px 0 0!important}.note{color:var(--dim);margin:0 0 10px;font-size:13px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px;margin-top:18px}
.tile{background:var(--bg);border-radius:9px;padding:10px 14px}.tile span{color:var(--dim);font-size:12px;display:block}
.tile b{font-size:17px;font-variant-numeric:tabular-nums}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:14px}
.card,.host{border:1px solid var(--line);border-radius:10px;padding:12px 14px}.host{margin-bottom:10px}
.pill{font-size:12px;padding:1px 9px;border-radius:99px;color:#fff;background:var(--warn);margin-left:6px}
.pill.pass{background:var(--good)}.pill.fail{background:var(--bad)}
.dot{display:inline-block;width:8px;height:8px;border-radius:50%;background:var(--warn);margin-right:8px}
.dot.pass{background:var(--good)}.dot.fail{background:var(--bad)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px}
th{font-weight:500;color:var(--dim);text-align:left}th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);
vertical-align:top}tr:last-child td{border-bottom:0}td:first-child{white-space:nowrap}
del{color:var(--bad);text-decoration:none}ins{color:var(--good);text-decoration:none}
svg{width:100%;height:auto;display:block}.grid{stroke:var(--line)}.tick,.row{fill:var(--dim);font-size:11px}
.row{font-size:12px}.bar.phase{fill:var(--old)}.bar.step{fill:var(--new)}.bar.failed{fill:var(--bad)}
.bar{opacity:.9}.in{fill:#fff;font-size:11px;pointer-events:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.line.old{stroke:var(--old)}.line.new{stroke:var(--new)}
.line.other{stroke:var(--warn)}.area{opacity:.14;stroke:none}.area.old{fill:var(--old)}.area.new{fill:var(--new)}
.area.other{fill:var(--warn)}.mark{stroke:var(--ink);stroke-dasharray:3 3;opacity:.5}
.marked{fill:var(--ink);font-size:10px;opacity:.75}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:16px}
figure{margin:0}figcaption{font-size:12px;color:var(--dim);margin:2px 0}
.keys{margin:0 0 8px}.key{font-size:13px;margin-right:18px;border-left:4px solid var(--warn);padding-left:8px}
.key.old{border-color:var(--old)}.key.new{border-color:var(--new)}
.chip{display:inline-block;background:var(--bg);border-radius:7px;padding:5px 10px;margin:4px 6px 0 0;font-size:12px;
border-left:3px solid var(--bad)}.chip.well{border-color:var(--good)}.chip small{color:var(--dim);margin-left:8px}
.shots{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:14px}
.shots img{width:100%;border:1px solid var(--line);border-radius:8px}
summary{cursor:pointer;color:var(--dim)}footer{color:var(--dim);font-size:12px;text-align:center}
a{color:var(--new)}@media (max-width:640px){.cards,.charts{grid-template-columns:1fr}}
"""
