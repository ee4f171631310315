import java.util.HashMap;
import java.util.Map;

/** A heap that grows to some 400 MB and is dropped, again and again: {@code Heap SECONDS}. */
public class Heap {
    private static final int MOST_ENTRIES = 350_000;

    public static void main(String[] arguments) throws InterruptedException {
        long until = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000_000L;
        Map<Integer, byte[]> kept = new HashMap<>();
        while (System.nanoTime() < until) {
            for (int i = 0; i < 2_000; i++) {
                kept.put(kept.size(), new byte[1000]);
            }
            if (kept.size() > MOST_ENTRIES) {
                kept = new HashMap<>();
                System.gc();
            }
            Thread.sleep(20);
        }
    }
}
