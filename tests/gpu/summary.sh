#!/bin/bash
# The results of tools/gpu_check.sh as a page to read: summary.sh PARTS SECONDS, PARTS being the folder of the stages'
# lines.
#
# Every stage: passed, or how it ended. Kernels: time in an emptied cache against the forecast, the larger of their
# arithmetic at the measured rate of bf16 products and their memory at the measured rate of copies. The engine: what was
# measured beside the aim (which is for an H100) and beside what arithmetic predicts for the device.
set -uo pipefail
parts=$1
field() { sed -n "s/.*\"$1\":\([0-9.e+]*\).*/\1/p" "$parts/device.jsonl" 2>/dev/null | head -n 1; }
lines() { cat "$parts/$1.jsonl" 2>/dev/null; }

ended="everything passed"
lines stages | grep -qE '"status":"(failed|stopped)' && ended=FAILED
echo "samc gpu_check: $ended, $2 s"
sed -n 's/{"name":"\([^"]*\)","capability":"\([^"]*\)".*/device: \1, capability \2/p' "$parts/device.jsonl" 2>/dev/null
printf 'measured: copies %s GB/s, mma.sync bf16 %s, f16 %s, fp32 %s TFLOP/s\n' "$(field copy_gbs)" \
    "$(field mma_bf16_tflops)" "$(field mma_f16_tflops)" "$(field fma_f32_tflops)"
{ lines checks; lines times; lines runs; } | grep -E '"status":"(failed|not equal)"' | cut -c 1-400 | sed 's/^/  /'

awk_json='
    function get(key) {
        if (!match($0, "\"" key "\":-?[0-9.e+-]+")) return 0
        return substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0
    }
    function text(key) {
        if (!match($0, "\"" key "\":\"[^\"]*\"")) return ""
        return substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 5)
    }'
# Stages, but for those of a single operator, which have the table after this one.
lines stages | awk "$awk_json"'
    NR == 1 { printf "\n%-28s %-24s %8s\n", "stage", "", "seconds" }
    text("stage") !~ /^(checks|times) / || text("status") != "ok" { printf "%-28s %-24s %8d\n", text("stage"),
        text("status") == "ok" ? "passed" : text("status"), get("seconds") }'

# Each operator: its checks, and of its timed cases the one that takes longest. Forecast: the roofline by what
# device_report measured.
{ lines checks | sed 's/^{/{"kind":"check",/'; lines times | sed 's/^{/{"kind":"time",/'; } |
    awk -v gbs="$(field copy_gbs)" -v tflops="$(field mma_bf16_tflops)" "$awk_json"'
    { op = text("op"); if (!(op in known)) { known[op] = 1; order[++n] = op } }
    text("status") != "ok" { bad[op]++; next }
    text("kind") == "check" { good[op]++; next }
    {
        good[op]++
        cold = get("cold_us")
        memory = gbs ? get("bytes") / gbs * 1e-3 : 0
        products = tflops ? get("flops") / tflops * 1e-6 : 0
        if (cold > longest[op]) { longest[op] = cold; forecast[op] = memory > products ? memory : products }
    }
    END {
        format = "\n%-20s %-8s %7s %7s %12s %12s %8s\n"
        if (n) printf format, "operator", "", "passed", "failed", "longest us", "forecast us", "% roof"
        for (i = 1; i <= n; i++) {
            op = order[i]
            printf "%-20s %-8s %7d %7d", op, bad[op] ? "FAILED" : "passed", good[op], bad[op]
            if (longest[op]) printf " %12.1f %12.1f %8.1f", longest[op], forecast[op], 100 * forecast[op] / longest[op]
            print ""
        }
    }'
lines runs | awk "$awk_json"'
    function header(line) { if (!seen[line]++) print "\n" line }
    function beside() {
        return (get("aim_ms") ? sprintf(", aim %.4g ms (%.0f %% of it reached)", get("aim_ms"),
            get("of_aim_percent")) : "") \
            (get("predicted_ms") ? sprintf(", predicted %.4g ms (%+.0f %%)", get("predicted_ms"),
            get("prediction_error_percent")) : "")
    }
    { what = text("what"); model = text("model") " " text("precision") }
    what == "parity" {
        header("the same as on the CPU (NMSE, largest error in deviations)")
        printf "  %-16s %s: embedding %.1e %.1e, logits %.1e %.1e, iou %.1e %.1e (gate %.0e %.0e); ", model,
            text("status"), get("embedding_nmse"), get("embedding_max"), get("logits_nmse"), get("logits_max"),
            get("iou_nmse"), get("iou_max"), get("gate_nmse"), get("gate_max")
        printf "%d of %d pixels differ, median IoU %.5f; automatic masks %d, reference %d, the same %d\n",
            get("pixels_different"), get("pixels"), get("median_mask_iou"), get("automatic_masks"),
            get("of_reference"), get("the_same")
    }
    what == "bytes" { header("bytes in company");
        printf "  %-16s %s: of %d values of an embedding %d differ in a pair, %d among eight; ", model, text("status"),
            get("values"), get("different_of_two"), get("different_of_eight")
        printf "masks of %d points by 64 and by 1024 together: %d and %d bytes\n", get("points"),
            get("mask_bytes_by_64"), get("mask_bytes_by_1024") }
    what == "failed" { header("figures that failed"); printf "  %-16s %s, batch %d: %s\n", model, text("figure"),
        get("batch"), text("why") }
    what == "encoder" { header("encoder, host and copies included");
        printf "  %-16s batch %-3d %9.4g images/s, %9.4g ms an image%s, peak %.2f GB\n", model, get("batch"),
            get("images_per_second"), get("ms"), beside(), get("peak_bytes") * 1e-9 }
    what == "decoder" { header("decoder, as automatic masks use it");
        printf "  %-16s %d prompts %9.4g ms, %9.4g a second%s\n", model, get("prompts"), get("ms"),
            get("prompts_per_second"), beside() }
    what == "prompts" { printf "  %-16s %d together %9.4g ms each, logits on the host\n", model, get("together"),
        get("ms_each_with_logits_on_the_host") }
    what == "automatic" {
        header("automatic masks, a whole image")
        printf "  %-16s %9.4g ms, %9.4g images/s%s; %d masks of %d kept; ", model, get("ms"),
            get("images_per_second"), beside(), get("kept"), get("masks")
        printf "the host waited %.4g, %.4g, %.4g ms to encode, decode, finish\n", get("host_encode_ms"),
            get("host_decode_ms"), get("host_post_ms")
    }
    what == "operator" { header("operators one by one, the device waited for after each");
        printf "  %-16s %-10s %-18s %5d calls %10.4g ms %8.4g TFLOP/s\n", model, text("stage"), text("operator"),
            get("calls"), get("ms"), get("tflops") }'
lines torch | awk "$awk_json"'
    NR == 1 { print "\nPyTorch on the same device" }
    { printf "  %-8s %-5s %-18s batch %-3d %9.4g %s a second, peak %.2f GB\n", text("model"), text("precision"),
        text("form"), get("batch"), get("per_second"), text("unit"), get("peak_bytes") * 1e-9 }'
[ -s "$parts/times.jsonl" ] || exit 0
printf '\n%-86s %10s %10s %11s %7s %8s %s\n' "kernels: case" "warm us" "cold us" "forecast us" "% roof" "TFLOP/s" \
    "bound"
lines times | awk -v gbs="$(field copy_gbs)" -v tflops="$(field mma_bf16_tflops)" "$awk_json"'
    /"status":"ok"/ {
        name = text("case")
        memory = gbs ? get("bytes") / gbs * 1e-3 : 0
        products = tflops ? get("flops") / tflops * 1e-6 : 0
        least = memory > products ? memory : products
        cold = get("cold_us")
        rate = get("warm_us") ? get("flops") / get("warm_us") * 1e-6 : 0
        printf "%-86s %10.1f %10.1f %11.1f %7.1f %8.1f %s\n", name, get("warm_us"), cold, least,
            cold ? 100 * least / cold : 0, rate, (memory > products ? "memory" : "products")
        # head dim 64, 4096 keys, global
        if (name ~ /^attention_relpos/ && name ~ / 64 64 0 / && rate > fastest) fastest = rate
        if (name ~ / kernel\) = /) { # the last number says which kernel of several
            shape = name
            sub(/ [0-9]+$/, "", shape)
            if (tried[shape]++ == 0 || get("warm_us") < best[shape]) { best[shape] = get("warm_us");
                which[shape] = name }
        }
    }
    END {
        for (shape in tried) if (tried[shape] > 1) printf "fastest of %d: %s\n", tried[shape], which[shape]
        format = "attention with relative position, head dim 64, 4096 keys: %.0f TFLOP/s, aim on an H100 330\n"
        if (fastest) printf format, fastest
    }'
