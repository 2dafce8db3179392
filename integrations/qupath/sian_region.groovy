/*
 * QuPath: segment the selected region with SIAN, or repaint it in another style.
 *
 * 1. Install SIAN (pip install 'sian[slides]') and put the path of its command below.
 * 2. Open a slide, draw a rectangle or any annotation, and select it.
 * 3. Automate > Script editor, open this file, choose what to do below, Run.
 *
 * "segment" brings the nuclei back as detections inside the annotation. "restyle" opens the painting as another image;
 * it is synthetic and not for diagnosis.
 */

String command = "sian"            // e.g. "/home/me/venv/bin/sian"; on Windows "C:\\venv\\Scripts\\sian.exe"
String what = "segment"            // or "restyle"
String style = "kidney"            // of "restyle": what `sian styles` lists, a picture, a file of `sian style`
double largest = 100e6             // px of a region

def server = getCurrentServer()
def selected = getSelectedObject()
if (selected == null || selected.getROI() == null) {
    println "Select an annotation first: it says which region is meant."
    return
}
def roi = selected.getROI()
int x = Math.max(0, (int) Math.floor(roi.getBoundsX()))
int y = Math.max(0, (int) Math.floor(roi.getBoundsY()))
int width = Math.min(server.getWidth() - x, (int) Math.ceil(roi.getBoundsWidth()))
int height = Math.min(server.getHeight() - y, (int) Math.ceil(roi.getBoundsHeight()))
if ((double) width * height > largest) {
    println "The region has " + width + " x " + height + " px, which is too much at once; draw a smaller one."
    return
}

def uris = server.getURIs()
if (uris.isEmpty() || !"file".equals(uris.iterator().next().getScheme())) {
    println "The slide is no file on this computer, so SIAN cannot read it."
    return
}
File slide = new File(uris.iterator().next())
File folder = java.nio.file.Files.createTempDirectory("sian-qupath").toFile()

List<String> words = [command]
words.addAll("segment".equals(what) ? ["segment", "predict"] : ["restyle"])
words.addAll([slide.getAbsolutePath(), "--region", x + "," + y + "," + width + "," + height, "-o", folder.getAbsolutePath()])
words.addAll("segment".equals(what) ? ["--geojson"] : ["--style", style])
def pixel = server.getPixelCalibration()
if (pixel.hasPixelSizeMicrons()) {
    words.addAll(["--mpp", String.valueOf(pixel.getAveragedPixelSizeMicrons())])
}

println words.join(" ")
def process = new ProcessBuilder(words).redirectErrorStream(true).start()
process.getInputStream().eachLine { line -> println line }
if (process.waitFor() != 0) {
    println "SIAN could not do it; its line above says why."
    return
}

def made = folder.listFiles().toList().sort()
if ("segment".equals(what)) {
    File outlines = made.find { it.getName().endsWith(".geojson") }
    def found = outlines.withInputStream { stream -> qupath.lib.io.PathIO.readObjectsFromGeoJSON(stream) }
    def inside = found.findAll { roi.contains(it.getROI().getCentroidX(), it.getROI().getCentroidY()) }
    selected.addChildObjects(inside)
    fireHierarchyUpdate()
    println inside.size() + " nuclei in the selected annotation."
} else {
    File painting = made.find { it.getName().endsWith(".png") && !it.getName().endsWith("_mask.png") && !it.getName().endsWith("_sheet.png") }
    println "The painting (synthetic; not for diagnosis): " + painting.getAbsolutePath()
    javafx.application.Platform.runLater {
        qupath.lib.gui.QuPathGUI.getInstance().openImage(getCurrentViewer(), painting.getAbsolutePath(), false, false)
    }
}
